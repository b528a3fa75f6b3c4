/** The JavaScript in docs/client.md runs, in order, against a server that a test plays. */

import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"

import { FakeServer, ID, change, settle } from "./fake-server.mjs"

const page = readFileSync(new URL("../../docs/client.md", import.meta.url), "utf8")
const blocks = [...page.matchAll(/^```js\n([^]*?)^```/gm)].map(([, code]) => code)
const body = blocks.join("\n").replace(/^import .*$/m, "") + "\nreturn { client, pages, add }"

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
