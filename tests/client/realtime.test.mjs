/** What a client makes of messages: whole commits across collections, one position, resumes, resets, late answers. */

import assert from "node:assert/strict"
import { test } from "node:test"

import { connect } from "../../sqla_realtime/client/realtime.js"
import { FakeServer, ID, change, row, settle } from "./fake-server.mjs"

async function twoChannels() {
  const server = new FakeServer()
  const client = server.connect()
  const [a, b] = [client.collection("a"), client.collection("b")]
  await server.accept()
  server.snapshot("e.1", { a: [{ id: 1, n: 1 }], b: [{ id: 1, n: 1 }] })
  server.take()
  return { server, client, a, b }
}

const both = n => [change("update", "a", { id: 1, n }), change("update", "b", { id: 1, n })]
const reset = (...channels) => ({ type: "reset", channels, reason: "invalidated" })

// Where to.

for (const [url, address] of [
  ["wss://other.example/realtime/ws", "wss://other.example/realtime/ws"],
  ["https://other.example/realtime/ws", "wss://other.example/realtime/ws"],
  ["http://localhost:8765/realtime/ws", "ws://localhost:8765/realtime/ws"],
  ["/live/ws", "wss://app.example/live/ws"],
])
  test(`${url} is ${address}`, () => {
    const server = new FakeServer()
    server.connect({ url }).open()
    assert.equal(server.socket.url, address)
  })

test("without a url it is the server that the module came from", async () => {
  const server = new FakeServer()
  connect({ window: server }).open()
  assert.equal(server.socket.url, new URL("../../sqla_realtime/client/ws", import.meta.url).href)
})

test("a name that is no channel's is refused on the spot", () => {
  const client = new FakeServer().connect()
  for (const name of ["", "two words", "a?b", "x".repeat(256), "naïve", "a\n"])
    assert.throws(() => client.collection(name), TypeError)
  client.collection("projects/5/p%C3%A4ges:a_b.c~d-e")
  client.collection("x".repeat(255))
})

// Asking.

test("what a page asks for in one go is one message", async () => {
  const server = new FakeServer()
  const client = server.connect()
  client.collection("a")
  client.collection("b")
  await server.accept()
  assert.deepEqual(server.take(), [{ type: "subscribe", id: 1, channels: ["a", "b"] }])
  client.collection("c")
  client.collection("d")
  await settle()
  assert.deepEqual(server.take(), [{ type: "subscribe", id: 2, channels: ["c", "d"] }])
})

test("nothing is asked before the client is admitted", async () => {
  const server = new FakeServer()
  server.connect().collection("a")
  await server.open()
  assert.deepEqual(server.sent, [{ type: "hello", connection: ID }])
})

test("nothing is heard before the client is admitted", async () => {
  const server = new FakeServer()
  const client = server.connect()
  client.collection("a")
  await server.open()
  server.push({ type: "ping", position: "e.9" })
  server.push({ commit: "e.9", changes: [] })
  assert.equal(client.position, null)
})

test("a collection that is closed while there is no connection costs no message", async () => {
  const server = new FakeServer()
  const client = server.connect()
  const a = client.collection("a")
  client.collection("b")
  await server.open()
  a.close()
  assert.deepEqual(server.take(), [])
  server.push({ type: "hello", connection: "c-1", ping: 25 })
  assert.deepEqual(server.take(), [{ type: "subscribe", id: 1, channels: ["b"] }])
})

test("100 channels are asked for at a time", async () => {
  const server = new FakeServer()
  const client = server.connect()
  const names = Array.from({ length: 250 }, (_, i) => `channel/${i}`)
  for (const name of names) client.collection(name)
  await server.accept()
  const sent = server.take()
  assert.deepEqual(sent.map(message => message.channels.length), [100, 100, 50])
  assert.deepEqual(sent.flatMap(message => message.channels), names)
  assert.deepEqual(sent.map(message => message.id), [1, 2, 3])
})

test("no message is longer than 16 KiB", async () => {
  const server = new FakeServer()
  const client = server.connect()
  for (let i = 0; i < 100; i++) client.collection(`${i}`.padStart(255, "x"))
  await server.accept()
  const sent = server.take()
  assert.ok(sent.length > 1)
  assert.equal(sent.flatMap(message => message.channels).length, 100)
  for (const message of sent) assert.ok(JSON.stringify(message).length <= 16_384)
})

test("a collection that is closed before it was asked for costs no subscribe", async () => {
  const { server, client } = await twoChannels()
  client.collection("c").close()
  await settle()
  assert.deepEqual(server.take().filter(message => message.type === "subscribe"), [])
})

// Whole commits.

test("a listener of one collection sees the others after the same commit", async () => {
  const { server, client, a, b } = await twoChannels()
  const seen = []
  a.subscribe(() => seen.push(["a", a.get(1).n, b.get(1).n, client.position]))
  b.subscribe(() => seen.push(["b", a.get(1).n, b.rows[0].n, client.position]))
  seen.length = 0
  server.push({ commit: "e.2", changes: both(2) })
  assert.deepEqual(seen, [["a", 2, 2, "e.2"], ["b", 2, 2, "e.2"]])
})

test("so it does after one answer for several channels", async () => {
  const server = new FakeServer()
  const client = server.connect()
  const [a, b] = [client.collection("a"), client.collection("b")]
  await server.accept()
  const seen = []
  a.on("change", () => seen.push([a.status, b.status, b.get(1).n]))
  server.snapshot("e.1", { a: [{ id: 1, n: 1 }], b: [{ id: 1, n: 1 }] })
  assert.deepEqual(seen, [["live", "live", 1]])
})

test("a commit for channels that nobody has here is passed over, but moves the position", async () => {
  const { server, client, a } = await twoChannels()
  const before = a.rows
  server.push({ commit: "e.2", changes: [change("create", "elsewhere", { id: 1 })] })
  assert.equal(client.position, "e.2")
  assert.equal(a.rows, before)
})

// One position.

test("the position follows commits, answers and pings", async () => {
  const { server, client } = await twoChannels()
  assert.equal(client.position, "e.1")
  server.push({ commit: "e.2", changes: both(2) })
  assert.equal(client.position, "e.2")
  server.push({ type: "ping", position: "e.3" })
  assert.equal(client.position, "e.3")
  server.push({ type: "ping" })
  server.push({ type: "pong" })
  server.push({ type: "from the future", position: "e.99" })
  assert.equal(client.position, "e.3")
  client.collection("c")
  await settle()
  server.snapshot("e.4", { c: [] })
  assert.equal(client.position, "e.4")
})

test("coming back resumes everything from one position", async () => {
  const { server, client, a, b } = await twoChannels()
  server.push({ type: "ping", position: "e.3" })
  const record = a.get(1)
  server.drop()
  assert.deepEqual([a.status, b.status, a.rows.length], ["stale", "stale", 1])
  client.collection("c")
  server.pass(500)
  await server.accept()
  assert.deepEqual(server.take(), [
    { type: "subscribe", id: 2, channels: ["a", "b"], after: "e.3" },
    { type: "subscribe", id: 3, channels: ["c"] },
  ])
  const seen = []
  a.subscribe(() => seen.push([a.rows.length, b.get(1).n]))
  a.on("change", event => seen.push(event))
  seen.length = 0
  const commits = [
    { commit: "e.4", changes: [change("create", "a", { id: 2, n: 4 })], origin: ID },
    { commit: "e.5", changes: [change("update", "b", { id: 1, n: 5 }), change("create", "a", { id: 3, n: 5 })] },
  ]
  const channels = [{ channel: "a", recovered: true }, { channel: "b", recovered: true }]
  server.push({ type: "subscribed", id: 2, position: "e.6", channels, commits })
  const changes = [commits[0].changes[0], commits[1].changes[1]]
  const told = changes.map((one, i) => ({ changes: [one], commit: `e.${i + 4}`, own: i === 0 }))
  assert.deepEqual(seen, [...told, [3, 5]], "each commit, after all were applied, and the rows once")
  assert.equal(a.get(1), record)
  assert.equal(client.position, "e.6")
  assert.deepEqual([a.status, b.status], ["live", "live"])
})

test("recovered without having missed anything is told as a status only", async () => {
  const { server, a } = await twoChannels()
  const before = a.rows
  await server.blink()
  let calls = -1
  a.subscribe(() => calls++)
  server.push({ type: "subscribed", id: 2, position: "e.1", channels: [{ channel: "a", recovered: true }] })
  assert.deepEqual([a.status, calls, a.rows === before], ["live", 0, true])
})

test("a resume that breaks off half-way resumes each channel from where it is", async () => {
  const { server } = await twoChannels()
  await server.blink()
  assert.deepEqual(server.take(), [{ type: "subscribe", id: 2, channels: ["a", "b"], after: "e.1" }])
  server.push({ type: "subscribed", id: 2, position: "e.7", channels: [{ channel: "a", recovered: true }] })
  await server.blink()
  assert.deepEqual(server.take(), [
    { type: "subscribe", id: 3, channels: ["a"], after: "e.7" },
    { type: "subscribe", id: 4, channels: ["b"], after: "e.1" },
  ])
})

test("a channel that was never answered is asked for without a position", async () => {
  const { server, client } = await twoChannels()
  client.collection("c")
  await settle()
  await server.blink()
  assert.deepEqual(server.take(), [
    { type: "subscribe", id: 3, channels: ["a", "b"], after: "e.1" },
    { type: "subscribe", id: 4, channels: ["c"] },
  ])
})

test("a position that cannot be resumed from is answered with rows, which are laid over", async () => {
  const { server, a, b } = await twoChannels()
  const kept = b.get(1)
  await server.blink()
  server.snapshot("f.1", { a: [{ id: 2, n: 2 }], b: [{ id: 1, n: 1 }] })
  assert.deepEqual(a.rows, [{ id: 2, n: 2 }])
  assert.equal(b.get(1), kept)
})

// Resets and late answers.

test("a reset keeps the rows and asks again without a position", async () => {
  const { server, a, b } = await twoChannels()
  server.push(reset("a", "unknown"))
  assert.deepEqual([a.status, b.status, a.rows.length], ["stale", "live", 1])
  await settle()
  assert.deepEqual(server.take(), [{ type: "subscribe", id: 2, channels: ["a"] }])
  server.push({ commit: "e.2", changes: both(2) })
  assert.deepEqual([a.get(1).n, b.get(1).n], [1, 2], "what comes before the answer is in the answer")
  server.snapshot("e.3", { a: [{ id: 1, n: 2 }] })
  assert.deepEqual([a.status, a.get(1).n], ["live", 2])
})

test("a reset channel has no position to resume from", async () => {
  const { server } = await twoChannels()
  server.push(reset("a"))
  await settle()
  await server.blink()
  assert.deepEqual(server.take(), [
    { type: "subscribe", id: 3, channels: ["a"] },
    { type: "subscribe", id: 4, channels: ["b"], after: "e.1" },
  ])
})

test("answers to an older subscribe are not heard", async () => {
  const { server, client, a } = await twoChannels()
  a.close()
  server.pass(1000)
  const again = client.collection("a")
  await settle()
  assert.deepEqual(server.take(), [
    { type: "unsubscribe", id: 2, channels: ["a"] },
    { type: "subscribe", id: 3, channels: ["a"] },
  ])
  server.push({ commit: "e.2", changes: both(2) })
  server.snapshot("e.2", { a: [{ id: 8 }] }, 1)
  server.push({ type: "error", id: 1, channel: "a", code: "forbidden", message: "No." })
  assert.deepEqual([again.status, again.rows.length], ["loading", 0])
  assert.equal(client.position, "e.2")
  server.snapshot("e.3", { a: [{ id: 9 }] }, 3)
  assert.deepEqual(again.rows, [{ id: 9 }])
  server.snapshot("e.3", { a: [] }, 1)
  assert.equal(again.rows.length, 1)
})

test("the commits of an older resume are not heard", async () => {
  const { server, a, b } = await twoChannels()
  await server.blink()
  server.push(reset("a"))
  await settle()
  server.snapshot("e.5", { a: [{ id: 1, n: 5 }] }, 3)
  const channels = [{ channel: "a", recovered: true }, { channel: "b", recovered: true }]
  server.push({ type: "subscribed", id: 2, position: "e.5", channels, commits: [{ commit: "e.4", changes: both(4) }] })
  assert.deepEqual([a.get(1).n, b.get(1).n], [5, 4])
})

test("an answer for a closed collection is not heard", async () => {
  const { server, client } = await twoChannels()
  const c = client.collection("c")
  await settle()
  c.close()
  server.pass(1000)
  server.snapshot("e.2", { c: [{ id: 1 }] }, 2)
  assert.equal(c.rows.length, 0)
})

// Refused channels.

const forbidden = { type: "error", channel: "a", code: "forbidden", message: "Not for you.", fix: "Give it a rule." }

test("an error with a channel refuses that channel alone", async () => {
  const server = new FakeServer()
  const client = server.connect()
  const [a, b] = [client.collection("a"), client.collection("b")]
  await server.accept()
  server.push({ ...forbidden, id: 1 })
  server.snapshot("e.1", { b: [] }, 1)
  assert.deepEqual([a.status, b.status, client.status], ["refused", "live", "live"])
  assert.deepEqual(a.error, { code: "forbidden", message: "Not for you.", fix: "Give it a rule." })
  server.take()
  server.pass(30_000)
  server.push(reset("a"))
  await settle()
  assert.deepEqual(server.take(), [], "it is not asked for again")
  a.retry()
  assert.deepEqual([a.status, a.error], ["loading", null])
  await settle()
  assert.deepEqual(server.take(), [{ type: "subscribe", id: 2, channels: ["a"] }])
  server.snapshot("e.2", { a: [] })
  assert.equal(a.status, "live")
  a.retry()
  await settle()
  assert.deepEqual(server.take(), [], "what is live needs no retry")
})

test("a channel that is forbidden loses its rows, and says why", async () => {
  const { server, a, b } = await twoChannels()
  const told = []
  a.on("status", status => told.push([status, a.error?.code]))
  a.on("rows", rows => told.push(rows.length))
  a.on("change", ({ changes }) => told.push(changes.map(one => one.type)))
  server.push(forbidden)
  server.push({ commit: "e.2", changes: both(2) })
  assert.deepEqual(told, [["live", undefined], 1, ["refused", "forbidden"], ["destroy"], 0])
  assert.deepEqual([b.status, b.get(1).n], ["live", 2])
})

test("so does one that the server takes away, the others go on", async () => {
  for (const reason of ["forbidden", "from the future"]) {
    const { server, client, a, b } = await twoChannels()
    server.push({ type: "leave", channels: ["a", "elsewhere"], reason })
    server.push({ commit: "e.2", changes: both(2) })
    assert.deepEqual([a.status, a.error.code, a.rows, b.status, b.get(1).n], ["refused", reason, [], "live", 2])
    await server.blink()
    assert.deepEqual(server.take(), [{ type: "subscribe", id: 2, channels: ["b"], after: "e.2" }])
    a.retry()
    assert.equal(a.status, "loading")
    await settle()
    assert.deepEqual(server.take(), [{ type: "subscribe", id: 3, channels: ["a"] }], "a position would promise rows")
    assert.equal(client.status, "live")
  }
})

test("one that has too many rows by now keeps those that it has", async () => {
  const { server, a } = await twoChannels()
  server.push({ ...forbidden, code: "snapshot-too-large" })
  assert.deepEqual([a.status, a.rows.length], ["refused", 1])
})

for (const [name, token, asks] of [
  ["a new token asks for refused channels again", () => `t${Math.random()}`, true],
  ["the same token does not", () => "same", false],
  ["no token does not", undefined, false],
])
  test(name, async () => {
    const server = new FakeServer()
    const a = server.connect({ token }).collection("a")
    await server.accept()
    server.push({ ...forbidden, id: 1 })
    await server.blink()
    assert.deepEqual(server.take(), asks ? [{ type: "subscribe", id: 2, channels: ["a"] }] : [])
    assert.equal(a.status, asks ? "loading" : "refused")
  })

test("an error with an id alone is about all that were asked for with it", async () => {
  const { server, client, a } = await twoChannels()
  const [c, d] = [client.collection("c"), client.collection("d")]
  await settle()
  server.push({ type: "error", id: 2, code: "invalid-field", message: "channels" })
  assert.deepEqual([a.status, c.status, d.status, c.error.code], ["live", "refused", "refused", "invalid-field"])
})

test("an error about nothing of ours changes nothing", async () => {
  const { server, client, a } = await twoChannels()
  server.push({ type: "error", code: "malformed", message: "?" })
  server.push({ type: "error", id: 77, code: "invalid-field", message: "?" })
  server.push({ type: "error", channel: "zzz", code: "forbidden", message: "?" })
  assert.deepEqual([client.status, a.status], ["live", "live"])
})

test("a snapshot that failed is asked for again after a jittered wait, each time longer", async () => {
  const server = new FakeServer()
  server.random = 1
  const client = server.connect()
  const a = client.collection("a")
  await server.accept()
  for (const [i, wait] of [500, 1000, 2000].entries()) {
    assert.deepEqual(server.take(), [{ type: "subscribe", id: i + 1, channels: ["a"] }])
    server.push({ type: "error", id: i + 1, channel: "a", code: "snapshot-failed", message: "Busy." })
    assert.deepEqual([a.status, a.error.code], ["loading", "snapshot-failed"])
    server.push({ type: "ping" })
    server.pass(wait - 1)
    await settle()
    assert.deepEqual(server.take(), [])
    server.pass(1)
    await settle()
  }
  server.snapshot("e.1", { a: [] }, 4)
  assert.deepEqual([a.status, a.error], ["live", null])
  server.take()
  server.push({ type: "error", channel: "a", code: "snapshot-failed", message: "Busy." })
  server.pass(500)
  await settle()
  assert.equal(server.take().length, 1, "an answer forgets the failures")
  server.push({ type: "error", channel: "a", code: "snapshot-failed", message: "Busy." })
  client.collection("b")
  await settle()
  assert.deepEqual(server.take()[0].channels, ["b"], "others do not wait, and do not hurry it")
})

test("a failed snapshot of a resume is asked for without a position: the others have moved on", async () => {
  const { server, a } = await twoChannels()
  await server.blink()
  server.take()
  server.push({ type: "error", id: 2, channel: "a", code: "snapshot-failed", message: "Busy." })
  assert.deepEqual([a.status, a.rows.length], ["stale", 1])
  server.pass(500)
  await settle()
  assert.deepEqual(server.take(), [{ type: "subscribe", id: 3, channels: ["a"] }])
})

test("a wait for a snapshot ends with its connection, and with its collection", async () => {
  const server = new FakeServer()
  const client = server.connect()
  const a = client.collection("a")
  await server.accept()
  const told = []
  a.on("status", () => told.push(a.error?.code))
  server.random = 5
  server.push({ type: "error", id: 1, channel: "a", code: "snapshot-failed", message: "Busy." })
  assert.deepEqual(told, [undefined, "snapshot-failed"], "an error is news, even if the status stays")
  server.random = 0.5
  await server.blink()
  assert.deepEqual(server.take(), [{ type: "subscribe", id: 2, channels: ["a"] }])
  server.pass(2000)
  await settle()
  assert.deepEqual(server.take(), [])
  server.push({ type: "error", id: 2, channel: "a", code: "snapshot-failed", message: "Busy." })
  a.close()
  server.take()
  server.pass(2000)
  await settle()
  assert.deepEqual(server.take(), [])
})

// Bad input.

test("what is no message, or not known, is not heard", async () => {
  const { server, client, a } = await twoChannels()
  const types = ['{"type": "constructor"}', '{"type": "__proto__"}', '{"type": 1}', '{"commit": 5, "changes": []}']
  for (const text of ["", "{", "null", "1", '"commit"', "[]", "[null]", "true", ...types]) server.push(text)
  server.socket.fire("message", { data: new ArrayBuffer(4) })
  server.push({ type: "close" })
  server.push({ type: "hello", connection: "again", ping: 1 })
  assert.deepEqual([client.status, client.position, client.connection, a.rows.length], ["live", "e.1", ID, 1])
})

test("a message that breaks the protocol half-way costs the connection, and all is read afresh", async t => {
  const reported = []
  globalThis.reportError = error => reported.push(error)
  t.after(() => delete globalThis.reportError)
  for (const message of [
    { commit: "e.2", changes: [both(2)[0], { type: "create", class: "Page", id: "5", channel: "b" }] },
    { commit: "e.2" },
    { type: "subscribed", id: 1, position: "e.2" },
    { type: "subscribed", id: 1, position: "e.2", channels: [{ channel: "a" }] },
    { type: "reset" },
  ]) {
    const { server, client, a, b } = await twoChannels()
    server.push(message)
    assert.deepEqual([client.status, a.status, b.status], ["offline", "stale", "stale"])
    server.pass(500)
    await server.accept()
    assert.deepEqual(server.take(), [{ type: "subscribe", id: 2, channels: ["a", "b"] }])
    server.snapshot("e.3", { a: [{ id: 1, n: 3 }], b: [] })
    assert.deepEqual([a.rows, b.rows], [[{ id: 1, n: 3 }], []])
  }
  assert.equal(reported.length, 5)
})

test("a listener may close another collection, or the client, in the middle of a commit", async () => {
  const { server, a, b } = await twoChannels()
  let calls = 0
  a.on("change", () => b.close())
  b.subscribe(() => calls++)
  server.push({ commit: "e.2", changes: both(2) })
  assert.equal(calls, 1)
  const other = await twoChannels()
  const told = []
  other.a.on("change", () => other.client.close())
  other.b.on("change", () => told.push(other.b.status))
  other.server.push({ commit: "e.2", changes: both(2) })
  assert.deepEqual(told, ["stale"])
})

test("PROTOCOL.md's conversation, as it stands there", async () => {
  const server = new FakeServer()
  const client = server.connect({ token: "eyJ..." })
  const pages = client.collection("projects/5/pages")
  await server.accept()
  assert.deepEqual(server.sent, [
    { type: "hello", token: "eyJ...", connection: ID },
    { type: "subscribe", id: 1, channels: ["projects/5/pages"] },
  ])
  const first = { id: 1, project_id: 5, title: "First" }
  const item = { channel: "projects/5/pages", rows: [row(first)] }
  server.push({ type: "subscribed", id: 1, position: "k3f9.1042", channels: [item] })
  const record = { ...first, title: "First one!" }
  const update = { type: "update", class: "Page", id: "1", channel: "projects/5/pages", changed: ["title"], record }
  server.push({ commit: "k3f9.1043", changes: [update] })
  assert.deepEqual(pages.rows, [record])
  await server.blink()
  assert.deepEqual(server.take(), [{ type: "subscribe", id: 2, channels: ["projects/5/pages"], after: "k3f9.1043" }])
  assert.equal(client.connection, ID)
})
