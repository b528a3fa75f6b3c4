/** One client, five panels: each is mounted by its own module, and its switch takes it away again. */

import { connect } from "/realtime/realtime.js"
import { Journal } from "./journal.js"
import { listening } from "./listening.js"
import { send } from "./send.js"
import { showStatus } from "./status.js"
import "./sign-in.js"

const $ = id => document.getElementById(id)
const { channel, url } = $("project").dataset
const client = (window.client = connect()) // at hand in the console, too
const panels = document.querySelectorAll("[data-panel]")
const ends = new Map() // panel -> what unmounts it

async function ask(method, path, body = {}) {
  try {
    await send(method, url + path, body, client.headers)
    $("notice").hidden = true
    return true
  } catch (error) {
    $("notice").textContent = error.message
    $("notice").hidden = false
  }
}

const remove = page => ask("DELETE", `/pages/${page.id}`)

// The page looks at the channel, too, as long as a panel does.
const journal = new Journal($("journal"))
let leave

function look() {
  const pages = client.collection(channel)
  const show = () => showStatus(client, pages)
  const ends = [
    pages.on("change", ({ changes, commit, own }) => journal.commit(commit, changes, own)),
    pages.on("status", () => pages.status === "live" && journal.live(client.position, pages.rows.length)),
    pages.on("status", show),
    client.on("status", show),
    () => pages.close(),
  ]
  return () => ends.forEach(end => end())
}

async function turn(panel, on) {
  const target = panel.querySelector(".mount")
  if (on) {
    const { mount } = await import(panel.dataset.module)
    const markup = panel.querySelector(".markup")?.content.cloneNode(true)
    leave ??= look()
    ends.set(panel, mount(target, { client, channel, remove, markup }))
  } else {
    ends.get(panel)()
    ends.delete(panel)
  }
  if (!ends.size) leave = leave()
  panel.querySelector(".switch").setAttribute("aria-checked", on)
  $("summary").textContent = ends.size ? `${ends.size} panels, one connection` : "No panel: the channel is left"
}

// What a framework changed is lit for a moment, whichever it was.
const observer = new MutationObserver(records => {
  const changed = records.flatMap(({ type, target, addedNodes }) => (type === "childList" ? [target, ...addedNodes] : [target]))
  const rows = new Set(changed.map(node => (node.nodeType === 1 ? node : node.parentElement)?.closest("li")))
  rows.delete(undefined)
  rows.delete(null)
  for (const row of rows) row.classList.remove("fresh")
  for (const row of rows) if (row.isConnected) void row.offsetWidth, row.classList.add("fresh")
})

for (const panel of panels) {
  observer.observe(panel.querySelector(".mount"), { childList: true, characterData: true, subtree: true })
  const button = panel.querySelector(".switch")
  button?.addEventListener("click", () => turn(panel, !ends.has(panel)))
  button?.click()
}

$("add").addEventListener("submit", async event => {
  event.preventDefault()
  if (await ask("POST", "/pages", { title: event.target.elements.title.value })) event.target.reset()
})
$("script").addEventListener("click", () => ask("POST", "/script"))
listening()
