/** One project's pages, live. What is shown comes from the collection alone; the buttons only ask the server to write. */

import { connect } from "/realtime/realtime.js"
import { send } from "./send.js"
import { Journal } from "./journal.js"
import { Table } from "./table.js"
import { showStatus } from "./status.js"
import { watchLife } from "./life.js"
import { listening } from "./listening.js"
import { showHere } from "./here.js"
import "./second.js"
import "./sign-in.js"

const $ = id => document.getElementById(id)
const { channel, url } = $("project").dataset

const client = connect()
const pages = client.collection(channel)

showHere(client, channel, $("columns"), $("here"))

const journal = new Journal($("journal"))
const table = new Table($("rows"), {
  rename: (id, title) => ask("PATCH", `/pages/${id}`, { title }),
  remove: id => ask("DELETE", `/pages/${id}`),
})

pages.subscribe(rows => {
  table.show(rows.toSorted((a, b) => a.position - b.position || a.id - b.id))
  $("empty").hidden = rows.length > 0
  if (pages.status === "live") $("empty").textContent = "No pages. Add one, here or in the other window."
})

let ghosts = 0 // rows of the rolled back transaction that ever got here
pages.on("change", ({ changes, commit, own }) => {
  journal.commit(commit, changes, own)
  ghosts += changes.filter(({ record }) => record?.edited_by === "nobody").length
})
pages.on("status", () => showStatus(client, pages))
watchLife(client, pages, {
  first: () => journal.live(client.position, pages.rows.length),
  again: () => journal.hush(),
  caughtUp: async (after, until, replayed) => {
    const answer = await ask("GET", `/missed?${new URLSearchParams({ after, until })}`)
    if (answer) tellAbsence(answer.missed, replayed, until)
  },
})
client.on("status", () => showStatus(client, pages))

async function ask(method, path, body = {}) {
  try {
    const answer = await send(method, url + path, body, client.headers)
    $("notice").hidden = true
    return answer
  } catch (error) {
    $("notice").textContent = error.message
    $("notice").hidden = false
  }
}

$("add").addEventListener("submit", async event => {
  event.preventDefault()
  const { title } = event.target.elements
  if (await ask("POST", "/pages", { title: title.value })) event.target.reset()
})

$("script").addEventListener("click", async () => {
  const answer = await ask("POST", "/script")
  if (answer) $("script-result").textContent = `${answer.changed} rows, one commit.`
})

$("rollback").addEventListener("click", async () => {
  const answer = await ask("POST", "/rollback")
  if (answer) $("rollback-result").textContent = `${answer.inserted} INSERTed, ${ghosts} arrived.`
})

$("elsewhere").addEventListener("click", async () => {
  $("elsewhere-result").textContent = "Python is starting …"
  const answer = await ask("POST", "/elsewhere")
  $("elsewhere-result").textContent = answer ? `Process ${answer.process} committed one row.` : ""
})

const MEANWHILE = 3 // pages that are asked for while nobody broadcasts
let dead = null // the process that was killed, until this page is back

$("kill")?.addEventListener("click", async () => {
  const killed = await ask("POST", "/kill")
  if (!killed) return
  dead = killed.process
  for (let number = 1; number <= MEANWHILE; number++) {
    if (!(await ask("POST", "/pages", { title: `Committed while it was dead, ${number}` }))) return
    if (dead) $("kill-result").textContent = `Process ${dead} is dead. Committed without it, and not here yet: ${number}`
  }
})

function tellAbsence(missed, replayed, position) {
  dead = null
  if (missed === null) journal.live(position, pages.rows.length)
  else journal.resumed(position, replayed)
  const words = missed === null ? "Away too long: all rows were loaded anew." : `missed ${missed}, replayed ${replayed}`
  if ($("kill")) $("kill-result").textContent = words
}

document.documentElement.classList.toggle("framed", window !== window.top)
listening()
