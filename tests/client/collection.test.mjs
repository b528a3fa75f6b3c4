/** What a collection shows: keyed rows, stable identities, listeners that are told once and cannot do harm. */

import assert from "node:assert/strict"
import { test } from "node:test"

import { FakeServer, ID, change, livePages, settle } from "./fake-server.mjs"

const commit = (position, ...changes) => ({ commit: position, changes })
const titles = rows => rows.map(record => record.title)

test("rows come in the snapshot's order and are found by their key", async () => {
  const { pages } = await livePages()
  assert.deepEqual(titles(pages.rows), ["First", "Second"])
  assert.equal(pages.get(2), pages.rows[1])
  assert.equal(pages.get("2"), pages.rows[1])
  assert.equal(pages.get(3), undefined)
})

test("a changed row keeps its place, a new one is appended, a destroyed one goes", async () => {
  const { server, pages } = await livePages()
  const changed = change("update", "pages", { id: 1, title: "First!" })
  server.push(commit("e.2", change("create", "pages", { id: 0, title: "New" }), changed))
  assert.deepEqual(titles(pages.rows), ["First!", "Second", "New"])
  server.push(commit("e.3", change("destroy", "pages", { id: 2 })))
  assert.deepEqual(titles(pages.rows), ["First!", "New"])
})

test("applying twice is applying once", async () => {
  const { server, pages } = await livePages()
  const changes = [change("create", "pages", { id: 3, title: "Third" }), change("destroy", "pages", { id: 1 })]
  server.push(commit("e.2", ...changes))
  server.push(commit("e.3", ...changes))
  assert.deepEqual(titles(pages.rows), ["Second", "Third"])
})

test("the key is class and id together", async () => {
  const { server, pages } = await livePages()
  server.push(commit("e.2", { ...change("create", "pages", { id: 1, title: "Of another class" }), class: "Draft" }))
  assert.deepEqual(titles(pages.rows), ["First", "Second", "Of another class"])
  server.push(commit("e.3", change("destroy", "pages", { id: 1 })))
  assert.deepEqual(titles(pages.rows), ["Second", "Of another class"])
  assert.equal(pages.get(1).title, "Of another class")
})

test("rows is one array until something changes", async () => {
  const { server, pages } = await livePages()
  const before = pages.rows
  assert.equal(pages.rows, before)
  server.push({ type: "ping", position: "e.2" })
  assert.equal(pages.rows, before)
  server.push(commit("e.3", change("update", "pages", { id: 1, title: "x" })))
  assert.notEqual(pages.rows, before)
  assert.equal(pages.rows[1], before[1], "an untouched record stays the same object")
  assert.deepEqual(titles(before), ["First", "Second"], "what was handed out is not changed")
})

test("subscribe is told now and after each commit that touched the rows, until it ends", async () => {
  const { server, pages } = await livePages()
  const told = []
  const off = pages.subscribe(rows => told.push(rows))
  assert.deepEqual(told, [pages.rows])
  const changes = [change("update", "pages", { id: 1, title: "x" }), change("update", "pages", { id: 2, title: "y" })]
  server.push(commit("e.2", ...changes))
  assert.equal(told.length, 2, "one commit, one call")
  assert.equal(told[1], pages.rows)
  server.push(commit("e.3", change("update", "elsewhere", { id: 1, title: "z" })))
  assert.equal(told.length, 2)
  off()
  server.push(commit("e.4", change("update", "pages", { id: 1, title: "later" })))
  assert.equal(told.length, 2)
})

test("one function that subscribes twice ends twice", async () => {
  const { server, pages } = await livePages()
  let calls = 0
  const fn = () => calls++
  const off = pages.subscribe(fn)
  pages.subscribe(fn)
  off()
  calls = 0
  server.push(commit("e.2", change("update", "pages", { id: 1, title: "x" })))
  assert.equal(calls, 1)
})

test("subscribe before the first answer is told of nothing, then of an empty answer", async () => {
  const server = new FakeServer()
  const pages = server.connect().collection("pages")
  const told = []
  pages.subscribe(rows => told.push([pages.status, rows.length]))
  await server.accept()
  server.snapshot("e.1", { pages: [] })
  assert.deepEqual(told, [["loading", 0], ["live", 0]])
})

test("change tells what was done, by which commit, and whether it was the page's own", async () => {
  const { server, pages } = await livePages()
  const told = []
  pages.on("change", event => told.push(event))
  const changes = [change("update", "pages", { id: 1, title: "x" })]
  server.push({ commit: "e.2", origin: ID, changes: [...changes, change("create", "other", { id: 9 })] })
  server.push({ commit: "e.3", changes })
  server.push({ commit: "e.4", origin: "c-somebody-elses-id-here", changes })
  assert.deepEqual(told, [
    { changes, commit: "e.2", own: true },
    { changes, commit: "e.3", own: false },
    { changes, commit: "e.4", own: false },
  ])
})

test("own changes are skipped where the page wishes it; the rows are told", async () => {
  const { server, pages } = await livePages({ own: "skip" })
  const told = []
  pages.on("change", event => told.push(event.commit))
  pages.on("rows", rows => told.push(titles(rows)[0]))
  server.push({ commit: "e.2", origin: ID, changes: [change("update", "pages", { id: 1, title: "mine" })] })
  server.push({ commit: "e.3", changes: [change("update", "pages", { id: 1, title: "theirs" })] })
  assert.deepEqual(told, ["First", "mine", "e.3", "theirs"])
})

test("status is told now and when it changes", async () => {
  const server = new FakeServer()
  const pages = server.connect().collection("pages")
  const told = []
  pages.on("status", status => told.push(status))
  await server.accept()
  server.snapshot("e.1", { pages: [] })
  server.push(commit("e.2", change("create", "pages", { id: 1 })))
  server.drop()
  assert.deepEqual(told, ["loading", "live", "stale"])
})

test("a snapshot after a reset is laid over by key", async () => {
  const { server, pages } = await livePages()
  const [first, second] = pages.rows
  server.push({ type: "reset", channels: ["pages"], reason: "invalidated" })
  await settle()
  const rows = []
  const changes = []
  pages.subscribe(shown => rows.push(titles(shown)))
  pages.on("change", event => changes.push(event))
  server.snapshot("e.5", { pages: [{ id: 1, title: "First" }, { id: 3, title: "Third" }] })
  assert.equal(pages.get(1), first, "an equal record stays the same object")
  assert.deepEqual(rows, [["First", "Second"], ["First", "Third"]])
  assert.deepEqual(changes, [{
    commit: "e.5", own: false,
    changes: [change("create", "pages", { id: 3, title: "Third" }), change("destroy", "pages", second)],
  }])
})

test("a snapshot that changes nothing is not told, and the array stays", async () => {
  const { server, pages } = await livePages()
  const before = pages.rows
  server.push({ type: "reset", channels: ["pages"], reason: "invalidated" })
  await settle()
  let calls = -1
  const statuses = []
  pages.subscribe(() => calls++)
  pages.on("change", () => calls++)
  pages.on("status", status => statuses.push(status))
  server.snapshot("e.5", { pages: [{ id: 1, title: "First" }, { id: 2, title: "Second" }] })
  assert.equal(calls, 0)
  assert.equal(pages.rows, before)
  assert.deepEqual(statuses, ["stale", "live"])
})

test("a nested difference is a difference", async () => {
  const server = new FakeServer()
  const pages = server.connect().collection("pages")
  await server.accept()
  const first = { id: 1, tags: ["a", { b: 1 }], none: null, empty: {} }
  server.snapshot("e.1", { pages: [first] })
  const lay = async record => {
    const before = pages.get(1)
    server.push({ type: "reset", channels: ["pages"], reason: "invalidated" })
    await settle()
    server.snapshot("e.2", { pages: [record] })
    return pages.get(1) === before
  }
  assert.equal(await lay(first), true)
  assert.equal(await lay({ empty: {}, none: null, tags: ["a", { b: 1 }], id: 1 }), true, "the order of names is none")
  for (const fields of [
    { tags: ["a", { b: 2 }] },
    { tags: ["a", { b: "2" }] },
    { tags: ["a"] },
    { tags: { 0: "a" } },
    { tags: { 1: "a" } },
    { none: {} },
    { empty: null },
    { empty: [] },
    { none: 0 },
    { none: undefined, other: null },
    { more: null },
  ]) {
    await lay(first)
    assert.equal(await lay({ ...first, ...fields }), false, JSON.stringify(fields))
  }
})

test("a listener that throws is reported and disturbs nobody", async t => {
  const reported = []
  globalThis.reportError = error => reported.push(error.message)
  t.after(() => delete globalThis.reportError)
  const { server, client, pages } = await livePages()
  const bad = () => {
    throw new Error("mine")
  }
  for (const event of ["status", "change", "rows"]) pages.on(event, bad)
  client.on("status", bad)
  const told = []
  pages.subscribe(rows => told.push(titles(rows)[0]))
  reported.length = 0
  server.push(commit("e.2", change("update", "pages", { id: 1, title: "x" })))
  assert.deepEqual(told, ["First", "x"])
  assert.deepEqual(reported, ["mine", "mine"])
  assert.equal(client.status, "live")
  assert.equal(client.position, "e.2")
})

test("where there is no reportError, the console gets it", async t => {
  const error = t.mock.method(console, "error", () => {})
  const { pages } = await livePages()
  pages.subscribe(() => {
    throw new Error("mine")
  })
  assert.equal(error.mock.calls[0].arguments[0].message, "mine")
})

test("a listener that another one has ended is not called any more", async () => {
  const { server, pages } = await livePages()
  let calls = 0
  let off = () => {}
  pages.subscribe(() => off())
  off = pages.subscribe(() => calls++)
  server.push(commit("e.2", change("update", "pages", { id: 1, title: "x" })))
  assert.equal(calls, 1)
})

test("a collection that its own listener closes tells nobody else", async () => {
  const { server, pages } = await livePages()
  let calls = 0
  pages.on("change", () => pages.close())
  pages.subscribe(() => calls++)
  server.push(commit("e.2", change("update", "pages", { id: 1, title: "x" })))
  assert.equal(calls, 1)
})

test("nor the other listeners of that event", async () => {
  const { server, client, pages } = await livePages()
  const other = client.collection("pages")
  const told = []
  pages.on("change", () => pages.close())
  pages.on("change", () => told.push("pages"))
  other.on("change", () => told.push("other"))
  server.push(commit("e.2", change("update", "pages", { id: 1, title: "x" })))
  assert.deepEqual(told, ["other"])
})

test("a listener that subscribes while being told does not loop", async () => {
  const { server, pages } = await livePages()
  let calls = 0
  const again = () => {
    if (++calls < 50) pages.on("change", again)
  }
  pages.on("change", again)
  server.push(commit("e.2", change("update", "pages", { id: 1, title: "x" })))
  assert.equal(calls, 1)
})

test("a closed collection is told nothing, and the channel is left a second later", async () => {
  const { server, client, pages } = await livePages()
  let calls = 0
  pages.subscribe(() => calls++)
  server.take()
  pages.close()
  server.push(commit("e.2", change("update", "pages", { id: 1, title: "x" })))
  server.pass(999)
  assert.deepEqual(server.take(), [])
  server.pass(1)
  assert.deepEqual(server.take(), [{ type: "unsubscribe", id: 2, channels: ["pages"] }])
  server.push(commit("e.3", change("update", "pages", { id: 1, title: "y" })))
  server.push({ type: "unsubscribed", id: 2, channels: ["pages"] })
  assert.equal(calls, 1)
  assert.equal(pages.rows[0].title, "x")
  assert.equal(pages.status, "stale")
  pages.close()
  server.pass(1000)
  assert.deepEqual(server.take(), [])
  assert.deepEqual(client.collection("pages").rows, [])
})

// Sharing.

test("two collections of one name share a subscription and its rows; each closes its own", async () => {
  const { server, client, pages } = await livePages()
  server.take()
  const other = client.collection("pages")
  assert.notEqual(other, pages)
  assert.equal(other.status, "live")
  assert.equal(other.rows, pages.rows)
  const told = []
  pages.subscribe(() => told.push("pages"))
  other.subscribe(() => told.push("other"))
  pages.close()
  pages.close()
  server.pass(5000)
  told.length = 0
  server.push(commit("e.2", change("update", "pages", { id: 1, title: "x" })))
  assert.deepEqual(told, ["other"])
  await settle()
  assert.deepEqual(server.take(), [])
  other.close()
  server.pass(1000)
  assert.deepEqual(server.take(), [{ type: "unsubscribe", id: 2, channels: ["pages"] }])
})

test("a channel asked for again within a second keeps its rows without a new subscribe", async () => {
  const { server, client, pages } = await livePages()
  server.take()
  pages.close()
  server.pass(999)
  server.push(commit("e.2", change("update", "pages", { id: 1, title: "meanwhile" })))
  const again = client.collection("pages")
  assert.deepEqual([again.status, titles(again.rows)], ["live", ["meanwhile", "Second"]])
  await settle()
  server.pass(30_000)
  assert.deepEqual(server.take(), [])
})

test("React's double mount asks once", async () => {
  const server = new FakeServer()
  const client = server.connect()
  client.collection("pages").close()
  const pages = client.collection("pages")
  await server.accept()
  assert.deepEqual(server.take(), [{ type: "subscribe", id: 1, channels: ["pages"] }])
  server.snapshot("e.1", { pages: [] })
  server.pass(5000)
  assert.equal(pages.status, "live")
  assert.deepEqual(server.take(), [])
})

test("what nobody shows any more is not asked for when the connection comes back, but kept for its second", async () => {
  const { server, client, pages } = await livePages()
  pages.close()
  await server.blink()
  assert.deepEqual(server.take(), [])
  const again = client.collection("pages")
  await settle()
  assert.deepEqual(server.take(), [{ type: "subscribe", id: 2, channels: ["pages"], after: "e.1" }])
  assert.deepEqual(titles(again.rows), ["First", "Second"])
})

test("a record's strange names are only names", async () => {
  const { server, pages } = await livePages()
  server.push(`{"commit": "e.2", "changes": [{"type": "create", "class": "Page", "id": "__proto__", "channel": "pages",
    "record": {"id": "__proto__", "__proto__": {"evil": true}}}]}`)
  assert.equal({}.evil, undefined)
  assert.equal(pages.get("__proto__").id, "__proto__")
  assert.equal(pages.get("constructor"), undefined)
})

