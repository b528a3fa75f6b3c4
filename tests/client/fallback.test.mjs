/** Where WebSockets do not get through: what is tried next, what is remembered, and how a better one is found again. */

import assert from "node:assert/strict"
import { test } from "node:test"

import { FakeServer, ID, change, settle } from "./fake-server.mjs"

const UPGRADE = { type: "error", code: "upgrade-required", message: "As a WebSocket." }
const REFUSAL = { type: "error", code: "origin-refused", message: "Not from there.", fix: "Add it to origins." }
const HELLO = { type: "hello", connection: ID, ping: 25 }
const KEY = "wss://server.example/realtime/ws"
const MINUTES = 60_000

const post = (server, name) => server.posts.findLast(one => one.name === name && !one.ended)
const poll = server => post(server, "poll")
const posted = async (server, name) => {
  await server.loaded(() => post(server, name))
  return post(server, name)
}

/** A client whose WebSockets are stopped by a proxy; plain HTTP gets through. */
async function withoutWebSocket(server = new FakeServer(), options) {
  server.answer = async () => new Response(JSON.stringify(UPGRADE), { status: 426 })
  const client = server.connect(options)
  const pages = client.collection("pages")
  if (server.sockets.length) await stopped(server)
  return { server, client, pages }
}

async function stopped(server) {
  server.drop()
  await settle()
  server.drop()
  await settle()
}

async function overSse(...given) {
  const made = await withoutWebSocket(...given)
  const stream = await posted(made.server, "sse")
  await stream.stream()
  await stream.push(HELLO)
  await stream.push({ type: "subscribed", id: 1, position: "e.1", channels: [{ channel: "pages", rows: [] }] })
  return { ...made, stream }
}

async function overPoll(...given) {
  const made = await withoutWebSocket(...given)
  await (await posted(made.server, "sse")).stream()
  made.server.pass(5000)
  const first = await posted(made.server, "poll")
  const { id } = first.body[1]
  const subscribed = { type: "subscribed", id, position: "e.1", channels: [{ channel: "pages", rows: [] }] }
  await first.answer(200, [HELLO, subscribed, { type: "pong" }])
  return made
}

test("a WebSocket that is refused: live over SSE, and it says so", async () => {
  const { server, client, pages, stream } = await overSse()
  assert.deepEqual([client.status, client.transport, pages.status, server.sockets.length], ["live", "sse", "live", 2])
  assert.equal(client.reason.message, "Live, over SSE because WebSocket does not get through.")
  assert.match(client.reason.fix, /proxies/)
  assert.equal(stream.url, "https://server.example/realtime/sse")
  assert.deepEqual(stream.options, { method: "POST", credentials: "include", cache: "no-store" })
})

test("then a stream that is buffered: live over long-poll within seconds", async () => {
  const { server, client, pages } = await overPoll()
  assert.deepEqual([client.status, client.transport, pages.status], ["live", "poll", "live"])
  assert.equal(client.reason.message, "Live, over long-poll because WebSocket and SSE do not get through.")
  const [hello, subscribe, ...more] = poll(server).body
  assert.deepEqual(hello, { type: "hello", connection: ID })
  assert.deepEqual([subscribe.channels, subscribe.after, more], [["pages"], "e.1", []])
})

test("a stream that a proxy begins to buffer", async () => {
  const { server, client, stream } = await overSse()
  server.pass(35_000)
  assert.equal(stream.aborted, true)
  assert.equal((await posted(server, "poll")).body[1].after, "e.1")
  assert.equal(client.status, "connecting")
})

for (const status of [400, 401, 403])
  test(`a refusal with ${status} is a refusal, and no reason for another transport`, async () => {
    const { server, client } = await withoutWebSocket()
    await (await posted(server, "sse")).answer(status, REFUSAL)
    assert.deepEqual([client.status, client.reason], ["refused", { code: "origin-refused", message: "Not from there.", fix: "Add it to origins." }])
    server.pass(60 * MINUTES)
    assert.equal(server.posts.length, 1)
  })

for (const [name, answer] of [
  ["a proxy's 405", stream => stream.answer(405, "not ours")],
  ["nobody", stream => stream.fail()],
  ["an end before the hello", async stream => (await stream.stream(), await stream.end())],
])
  test(`a stream that is answered by ${name} leads on to long-poll`, async () => {
    const { server, client } = await withoutWebSocket()
    await answer(await posted(server, "sse"))
    await posted(server, "poll")
    assert.equal(client.status, "connecting")
  })

test("a server that has no room yet is come back to", async () => {
  const { server, client } = await withoutWebSocket()
  await (await posted(server, "sse")).answer(503, { type: "error", code: "restarting", message: "Soon." })
  assert.deepEqual([client.status, client.reason.code, client.reason.message], ["offline", "restarting", "Soon."])
  server.pass(250)
  await posted(server, "sse")
})

test("where nothing gets through it waits, and begins with WebSocket again", async () => {
  const { server, client } = await withoutWebSocket()
  await (await posted(server, "sse")).fail()
  await (await posted(server, "poll")).fail()
  assert.deepEqual([client.status, client.reason.code, server.sockets.length], ["offline", "unreachable", 2])
  server.pass(250)
  assert.equal(server.sockets.length, 3)
})

test("a server that is just started is not taken for a proxy", async () => {
  const { server, client } = { server: new FakeServer() }
  server.answer = async () => new Response(JSON.stringify(UPGRADE), { status: 426 })
  server.connect().open()
  server.drop()
  await settle()
  await server.accept()
  assert.deepEqual([server.sockets.length, server.posts.length, client], [2, 0, undefined])
})

test("only what is allowed is tried, in that order", async () => {
  const server = new FakeServer()
  const client = server.connect({ transports: ["poll", "websocket"] })
  client.open()
  await (await posted(server, "poll")).fail()
  await (await posted(server, "poll")).fail()
  assert.equal(server.sockets.length, 1)
  await server.accept()
  assert.equal(client.reason.message, "Live, over WebSocket because long-poll does not get through.")
  assert.throws(() => server.connect({ transports: [] }), TypeError)
  assert.throws(() => server.connect({ transports: ["pigeon"] }), /websocket,sse,poll/)
})

test("all channels of a page share one stream", async () => {
  const { server, client } = await overSse()
  for (const name of ["a", "b", "c"]) client.collection(name)
  const command = await posted(server, "send")
  assert.deepEqual(command.body, { connection: ID, messages: [{ type: "subscribe", id: 2, channels: ["a", "b", "c"] }] })
  assert.equal(server.posts.filter(one => one.name === "sse").length, 1)
})

// What is remembered.

test("the next page in the tab begins with what worked", async () => {
  const { server, client } = await overPoll()
  client.close()
  await server.loaded(() => server.sessionStorage.getItem(KEY))
  const next = await withoutWebSocket(server)
  assert.equal((await posted(server, "poll")).body[1].type, "subscribe")
  assert.equal(server.sockets.length, 2)
  assert.equal(next.client.status, "connecting")
})

test("but not for ever: pages that follow each other do not put it off", async () => {
  const { server, client } = await overPoll()
  client.close()
  await server.loaded(() => server.sessionStorage.getItem(KEY))
  for (let i = 0; i < 2; i++) {
    server.pass(2 * MINUTES)
    const next = await withoutWebSocket(server)
    await (await posted(server, "poll")).answer(200, [HELLO, { type: "pong" }])
    assert.equal(next.client.transport, "poll")
    await server.loaded(() => server.waits.length > 1)
    next.client.close()
  }
  server.pass(2 * MINUTES)
  const sockets = server.sockets.length
  server.connect().open()
  assert.equal(server.sockets.length, sockets + 1)
})

for (const [name, storage] of [
  ["that throws", { getItem: () => { throw new Error("SecurityError") }, setItem: () => { throw new Error("full") }, removeItem: () => { throw new Error("no") } }],
  ["that is not there", undefined],
  ["with something else in it", { getItem: () => "[7, 9e99]", setItem() {}, removeItem() {} }],
  ["with nonsense in it", { getItem: () => "poll", setItem() {}, removeItem() {} }],
])
  test(`a storage ${name} is no storage`, async () => {
    const server = Object.assign(new FakeServer(), { sessionStorage: storage })
    const { client } = await overSse(server)
    assert.deepEqual([client.transport, server.sockets.length], ["sse", 2])
  })

// Better ones.

async function later(made, ms = 6 * MINUTES) {
  const { server, stream } = made
  await server.loaded(() => server.waits.some(wait => wait > 3 * MINUTES))
  for (let passed = 0; passed < ms && made.server.sockets.length < 3; passed += 20_000) {
    await stream?.push({ type: "ping" })
    server.pass(20_000)
    await settle()
  }
}

test("after some minutes WebSocket is tried again, beside what works", async () => {
  const made = await overSse()
  const { server, client, pages, stream } = made
  await later(made)
  assert.deepEqual([server.sockets.length, client.status, stream.ended], [3, "live", false])
  await server.open()
  assert.deepEqual(server.sent, [{ type: "hello" }], "as nobody: it only asks whether it gets through")
  server.push({ type: "hello", connection: "c-of-the-trial-connection", ping: 25 })
  await settle()
  assert.deepEqual([server.sockets.length, server.sockets[2].closedBy, stream.aborted], [4, "client", true])
  await server.accept()
  assert.deepEqual(server.take(), [{ type: "subscribe", id: 2, channels: ["pages"], after: "e.1" }])
  server.push({ type: "subscribed", id: 2, position: "e.1", channels: [{ channel: "pages", recovered: true }] })
  assert.deepEqual([client.transport, client.reason.message, pages.status], ["websocket", "Live, over WebSocket.", "live"])
  await server.loaded(() => !server.sessionStorage.getItem(KEY))
})

test("one that still does not get through changes nothing, and is left alone for minutes again", async () => {
  const made = await overSse()
  const { server, client, stream } = made
  await later(made)
  server.drop()
  await settle()
  assert.deepEqual([client.transport, stream.ended, server.sockets.length], ["sse", false, 3])
  server.pass(30_000)
  await settle()
  assert.equal(server.sockets.length, 3)
})

test("one that is opened and says nothing does not get through", async () => {
  const made = await overSse()
  const { server, client, stream } = made
  await later(made)
  await server.open()
  server.pass(10_000)
  await settle()
  assert.deepEqual([client.transport, stream.ended, server.socket.closedBy], ["sse", false, "client"])
})

test("from long-poll SSE is better, too", async () => {
  const { server, client } = await overPoll()
  server.event("online")
  await settle()
  server.drop()
  const trial = await posted(server, "sse")
  assert.deepEqual(trial.body, [{ type: "hello" }])
  await trial.stream()
  await trial.push({ type: "hello", connection: "c-of-the-trial-connection", ping: 25 })
  const stream = await posted(server, "sse")
  assert.equal(trial.aborted, true)
  assert.deepEqual(stream.body[1], { type: "subscribe", id: 3, channels: ["pages"], after: "e.1" })
  assert.equal(client.status, "connecting")
})

test("another network is tried with the best", async () => {
  const { server } = await overPoll()
  server.event("offline")
  server.event("online")
  assert.equal(server.sockets.length, 3)
})

test("a client that is closed looks for nothing", async () => {
  const made = await overSse()
  await made.server.loaded(() => made.server.waits.some(wait => wait > 3 * MINUTES))
  made.client.close()
  made.server.pass(60 * MINUTES)
  await settle()
  assert.deepEqual([made.server.sockets.length, made.server.waits], [2, []])
})

// SSE by the byte.

test("events are read wherever the network cuts them", async () => {
  const { pages, stream } = await overSse()
  const told = []
  pages.on("change", ({ commit }) => told.push(commit))
  const texts = ["ä", "𝄞", "a\nb"].map((title, i) => {
    const json = JSON.stringify({ commit: `e.${i + 2}`, changes: [change("create", "pages", { id: i, title })] })
    return [`data: ${json}\n\n`, `: comment\r\nid: e.${i}\r\ndata: ${json}\r\n\r\n`, `retry: 5\rdata:${json.replace(",", ",\rdata: ")}\r\r`][i]
  })
  const bytes = new TextEncoder().encode(texts.join("") + "data: not json\n\ndata\n\n\n\n")
  for (const byte of bytes) await stream.bytes(Uint8Array.of(byte))
  assert.deepEqual(told, ["e.2", "e.3", "e.4"])
  assert.deepEqual(pages.rows.map(({ title }) => title), ["ä", "𝄞", "a\nb"])
})

test("a command brings along what the hello of its stream has said of where it is", async () => {
  const { server, client, stream } = await overSse()
  await stream.push({ ...HELLO, via: "8765.1" })
  client.collection("more")
  const { body } = await posted(server, "send")
  assert.deepEqual([body.connection, body.via], [ID, "8765.1"])
})

test("a command whose stream is another process's begins a new stream with everything", async () => {
  const { server, client, stream } = await overSse()
  server.pass(10_001)
  client.collection("more")
  await (await posted(server, "send")).answer(404, { type: "error", code: "unknown-connection", message: "Not here." })
  const [hello, ...asked] = (await posted(server, "sse")).body
  assert.equal(stream.aborted, true)
  assert.equal(hello.connection, ID)
  assert.deepEqual(asked, [
    { type: "subscribe", id: 3, channels: ["pages"], after: "e.1" },
    { type: "subscribe", id: 4, channels: ["more"] },
  ])
})

test("but not again and again", async () => {
  const { server, client } = await overSse()
  client.collection("more")
  await (await posted(server, "send")).answer(404, { type: "error", code: "unknown-connection", message: "Not here." })
  assert.deepEqual([client.status, client.reason.code], ["offline", "unknown-connection"])
})

test("a ping that does not arrive does no harm, a subscribe that does not costs the stream", async () => {
  const { server, client, stream } = await overSse()
  server.pass(25_000)
  const ping = await posted(server, "send")
  assert.deepEqual(ping.body.messages, [{ type: "ping", position: "e.1" }])
  await ping.answer(404, { type: "error", code: "unknown-connection", message: "Not here." })
  await stream.push({ type: "ping" })
  assert.equal(client.status, "live")
  client.collection("more")
  await (await posted(server, "send")).fail()
  assert.equal(client.status, "offline")
})

test("commands do not overtake each other", async () => {
  const { server, client } = await overSse()
  client.collection("a")
  const first = await posted(server, "send")
  client.collection("b")
  await settle()
  assert.equal(server.posts.at(-1), first)
  await first.answer(204)
  assert.deepEqual((await posted(server, "send")).body.messages[0].channels, ["b"])
})

test("what does not fit into the body of a stream follows it", async () => {
  const server = new FakeServer()
  const client = server.connect({ transports: ["sse"] })
  for (let i = 0; i < 300; i++) client.collection(`${i}`.padStart(255, "x"))
  const stream = await posted(server, "sse")
  assert.ok(JSON.stringify(stream.body).length < 64 * 1024)
  await stream.stream()
  await stream.push(HELLO)
  const { body } = await posted(server, "send")
  assert.equal([...stream.body, ...body.messages].flatMap(message => message.channels ?? []).length, 300)
  assert.equal(client.status, "live")
})

// Long-poll.

test("a poll whose answer was lost is asked again from the same position", async () => {
  const { server, client } = await overPoll()
  const { after } = poll(server).body[1]
  await poll(server).fail()
  server.pass(500)
  const { body } = await posted(server, "poll")
  assert.equal(body[1].after, after)
  assert.equal(body.at(-1).type, "ping", "what the client waits for is answered at once")
  assert.equal(client.status, "offline")
})

test("a new channel does not wait for the poll that is under way", async () => {
  const { server, client } = await overPoll()
  const waiting = poll(server)
  client.collection("more")
  await settle()
  assert.equal(waiting.aborted, true)
  const subscribes = poll(server).body.filter(({ type }) => type === "subscribe")
  assert.deepEqual(subscribes.map(({ channels, after }) => [channels, after]), [[["pages"], "e.1"], [["more"], undefined]])
})

test("a channel that is left is not in the next poll", async () => {
  const { server, pages } = await overPoll()
  pages.close()
  server.pass(1000)
  await poll(server).answer(200, [HELLO, { commit: "e.2", changes: [change("create", "pages", { id: 1 })] }])
  assert.deepEqual(poll(server).body.map(({ type }) => type), ["hello"])
})

test("what it asks for by itself is answered to the client's channels: commits, and rows where they were lost", async () => {
  const { server, client, pages } = await overPoll()
  const { id } = poll(server).body[1]
  const commits = [{ commit: "e.2", changes: [change("create", "pages", { id: 1, title: "x" })] }]
  const recovered = { type: "subscribed", id, position: "e.3", channels: [{ channel: "pages", recovered: true }], commits }
  await poll(server).answer(200, [HELLO, recovered])
  assert.deepEqual([pages.get(1).title, client.position], ["x", "e.3"])
  assert.equal(poll(server).body[1].after, "e.3")
  const rows = [{ class: "Page", id: "2", record: { id: 2, title: "y" } }]
  await poll(server).answer(200, [HELLO, { type: "subscribed", id, position: "f.1", channels: [{ channel: "pages", rows }] }])
  assert.deepEqual([pages.rows.map(({ title }) => title), client.position], [["y"], "f.1"])
})

test("what it asks for by itself may be refused: of that channel alone, or of all", async () => {
  const { server, client, pages } = await overPoll()
  const { id } = poll(server).body[1]
  await poll(server).answer(200, [HELLO, { type: "error", id, channel: "pages", code: "forbidden", message: "No more." }])
  assert.deepEqual([client.status, pages.status, pages.error.message], ["live", "refused", "No more."])
  assert.deepEqual(poll(server).body.map(({ type }) => type), ["hello"])
  const other = await overPoll()
  await poll(other.server).answer(200, [HELLO, { type: "error", id, code: "invalid-field", message: "?" }])
  assert.deepEqual([other.client.status, other.client.reason.code], ["offline", "invalid-field"])
})

test("a channel that comes while the first poll is under way does not disturb its answer", async () => {
  const { server, client, pages } = await withoutWebSocket(new FakeServer(), { transports: ["poll"] })
  const first = await posted(server, "poll")
  client.collection("more")
  await settle()
  assert.equal(poll(server), first)
  const rows = [{ class: "Page", id: "1", record: { id: 1 } }]
  await first.answer(200, [HELLO, { type: "subscribed", id: 1, position: "e.1", channels: [{ channel: "pages", rows }] }])
  assert.equal(pages.rows.length, 1)
  const subscribes = poll(server).body.filter(({ type }) => type === "subscribe")
  assert.deepEqual(subscribes.map(({ channels, after }) => [channels, after]), [[["pages"], "e.1"], [["more"], undefined]])
})

test("an answer that says nothing new, and comes at once, is not followed at once", async () => {
  const { server } = await overPoll()
  await poll(server).answer(200, [HELLO, { type: "ping", position: "e.1" }])
  assert.equal(poll(server), undefined)
  server.pass(1000)
  await settle()
  assert.ok(poll(server))
  server.pass(1000)
  await poll(server).answer(200, [HELLO, { type: "ping", position: "e.1" }])
  assert.ok(poll(server), "one that was held is")
})

for (const [name, answer] of [
  ["no array", { type: "error" }],
  ["an array of nothing", [null]],
  ["a message without what it needs", [HELLO, { type: "subscribed", position: "e.2" }]],
  ["nothing", undefined],
])
  test(`an answer that is ${name} costs the connection`, async () => {
    const { server, client } = await overPoll()
    await poll(server).answer(200, answer)
    assert.equal(client.status, "offline")
    server.pass(500)
    assert.ok(await posted(server, "poll"))
  })

test("a token that runs out between two polls is asked for again", async () => {
  let asked = 0
  const { server, client } = await overPoll(undefined, { token: () => `t${++asked}` })
  const before = asked
  const refused = [{ type: "error", code: "token-expired", message: "Too old." }, { type: "error", id: 2 ** 52, code: "hello-required", message: "First." }]
  await poll(server).answer(200, refused)
  await server.loaded(() => poll(server))
  const [hello, subscribe] = poll(server).body
  assert.deepEqual([hello.token, subscribe.channels, subscribe.after], [`t${before + 1}`, ["pages"], "e.1"])
  assert.equal(client.reason.code, "needs-auth")
})

for (const [status, body, expected] of [
  [403, REFUSAL, ["refused", "origin-refused", "Not from there."]],
  [413, { type: "error", code: "too-large", message: "Less." }, ["refused", "too-large", "Less."]],
  [503, { type: "error", code: "restarting", message: "Soon." }, ["offline", "restarting", "Soon."]],
  [502, "<h1>Bad gateway</h1>", ["offline", "closed-1006", "The connection was closed: 1006."]],
])
  test(`a later poll that is answered ${status}: ${expected[0]}`, async () => {
    const { server, client } = await overPoll()
    await poll(server).answer(status, body)
    assert.deepEqual([client.status, client.reason.code, client.reason.message], expected)
  })
