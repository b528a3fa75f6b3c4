/** The notes, live. What is shown comes from the collection alone; forms and buttons only ask the server to write. */

import { connect } from "/realtime/realtime.js"
import { Journal } from "/shared/journal.js"
import { listening } from "/shared/listening.js"
import { send } from "/shared/send.js"
import { showStatus } from "/shared/status.js"
import { Table } from "/shared/table.js"
import "/shared/sign-in.js"

const $ = id => document.getElementById(id)

const client = connect({
  token: async () => {
    const { user, token } = await send("POST", "/token")
    for (const button of document.querySelectorAll("[data-user]")) button.ariaPressed = button.dataset.user === String(user)
    return token
  },
})
const notes = client.collection("notes")

const journal = new Journal($("journal"))
const table = new Table($("rows"), {
  rename: (id, title) => ask("PATCH", `/notes/${id}`, { title }),
  remove: id => ask("DELETE", `/notes/${id}`),
})

notes.subscribe(rows => {
  table.show(rows.toSorted((a, b) => a.id - b.id))
  $("empty").hidden = rows.length > 0
  if (notes.status === "live") $("empty").textContent = "No notes. Add one, here or in the other window."
  const workers = [...new Set(rows.map(row => row.worker))]
  $("workers").textContent = rows.length ? `Written by process ${workers.join(" and ")}` : ""
})
notes.on("change", ({ changes, commit, own }) => journal.commit(commit, changes, own))
notes.on("status", () => {
  if (notes.status === "live") journal.live(client.position, notes.rows.length)
  showStatus(client, notes)
})
client.on("status", () => showStatus(client, notes))

async function ask(method, path, body = {}) {
  try {
    const answer = await send(method, path, body, client.headers)
    $("notice").hidden = true
    return answer
  } catch (error) {
    $("notice").textContent = error.message
    $("notice").hidden = false
  }
}

$("add").addEventListener("submit", async event => {
  event.preventDefault()
  if (await ask("POST", "/notes", { title: event.target.elements.title.value })) event.target.reset()
})
listening()
