/** The JavaScript in docs/client.md runs, in order, against a server that a test plays. */

import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"

import { presence } from "../../sqla_realtime/client/presence.js"
import { FakeServer, ID, change, settle } from "./fake-server.mjs"

const read = name => readFileSync(new URL(`../../docs/${name}`, import.meta.url), "utf8")
const code = text => [...text.matchAll(/^```js\n([^]*?)^```/gm)].map(([, code]) => code).join("\n").replace(/^import .*$/gm, "")
const page = read("client.md")
const body = code(page) + "\nreturn { client, pages, add }"

test("a page made of what the document shows is live, says so, and writes without a flicker", async () => {
  const server = new FakeServer()
  const shown = []
  const drawn = []
  const asked = []
  const drafts = new Set()
  const given = {
    connect: () => server.connect(),
    render: rows => drawn.push([...rows, ...drafts].map(({ title }) => title)),
    draw: () => drawn.push([...made.pages.rows, ...drafts].map(({ title }) => title)),
    show: (...told) => shown.push(told),
    drafts,
    fetch: async (url, options) => {
      asked.push(options.headers)
      return new Response(null, { headers: { "X-Realtime-Position": "e.2" } })
    },
  }
  const made = new Function(...Object.keys(given), body)(...Object.values(given))
  await server.accept()
  server.snapshot("e.1", { "projects/5/pages": [{ id: 1, title: "First" }] })
  const added = made.add("Second")
  await settle()
  server.push({ commit: "e.2", origin: ID, changes: [change("create", "projects/5/pages", { id: 2, title: "Second" })] })
  await added
  await settle()
  assert.deepEqual(drawn, [[], ["First"], ["First", "Second"], ["First", "Second"]])
  assert.equal(drafts.size, 0)
  assert.deepEqual(asked, [{ "Content-Type": "application/json", "X-Realtime-Connection": ID }])
  assert.deepEqual(shown.at(-1), ["live", "Live, over WebSocket.", undefined, "websocket"])
})

test("what its tables name is there, and nothing that is there is missing", () => {
  const client = new FakeServer().connect()
  for (const thing of [client, client.collection("pages")])
    for (const name of Object.keys(thing)) if (name !== "name") assert.match(page, new RegExp(`\\b${name}\\b`), name)
})

test("a page made of what presence.md shows knows who is there, and says and hears something", async () => {
  const server = new FakeServer()
  const shown = []
  const given = { connect: () => server.connect(), presence, note: (...told) => shown.push(told) }
  for (const name of ["showMembers", "showTyping"]) given[name] = (...told) => shown.push(told)
  const text = read("presence.md")
  const made = new Function(...Object.keys(given), code(text) + "\nreturn { room, typing }")(...Object.values(given))
  await server.accept()
  const members = [{ id: "1", info: { name: "Ann" } }]
  const channel = "rooms/5"
  server.push({ type: "members", id: server.take()[0].id, channel, tag: "t", you: "1", members })
  server.push({ type: "event", channel, name: "typing", from: "2", data: { on: true } })
  const done = made.typing(false)
  const [{ id, data }] = server.take()
  assert.deepEqual(data, { on: false })
  server.push({ type: "error", id, code: "too-fast", message: "Slower." })
  await done
  assert.deepEqual(shown, [[[]], [["Ann"]], ["2", true], ["too-fast", "Slower."]])
  for (const name of Object.keys(made.room)) if (name !== "name") assert.match(text, new RegExp(`\\b${name}\\b`), name)
})
