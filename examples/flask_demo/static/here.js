/** Who has this project open, in whatever window, and who of them is writing a title. */

import { presence } from "/realtime/presence.js"

const QUIET = 3_000 // so long after a key somebody is still writing; twice as often at most it is said

export function showHere(client, channel, fields, element) {
  const room = presence(client, channel)
  const writing = new Map() // user to the timer that ends it

  function show() {
    const words = `${room.members.length} ${room.members.length === 1 ? "person" : "people"} here`
    element.replaceChildren(room.members.length ? words : "", ...room.members.map(avatar))
    const names = room.members.filter(({ id }) => writing.has(id)).map(({ info }) => info.name)
    if (names.length) element.append(`${names.join(" and ")} ${names.length === 1 ? "is" : "are"} writing …`)
  }

  room.on("members", show)
  room.on("event:typing", ({ from }) => {
    clearTimeout(writing.get(from))
    writing.set(from, setTimeout(() => (writing.delete(from), show()), QUIET))
    show()
  })

  let said = -QUIET
  fields.addEventListener("input", () => {
    if (room.status !== "live" || performance.now() - said < QUIET / 2) return
    said = performance.now()
    room.send("typing", {}).catch(() => {}) // whoever is not told misses nothing
  })
}

function avatar({ info: { name } }) {
  const element = Object.assign(document.createElement("span"), { className: "avatar", title: name, textContent: name[0] })
  element.dataset.name = name
  return element
}
