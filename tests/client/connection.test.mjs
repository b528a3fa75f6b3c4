/** Coming and coming back over a WebSocket, with sockets, clocks and a browser's events. */

import assert from "node:assert/strict"
import { test } from "node:test"

import { FakeServer, ID, change, livePages, settle } from "./fake-server.mjs"

const refusal = { type: "error", code: "origin-refused", message: "Not from there.", fix: "Add it to origins." }
const json = (status, body) => async () => new Response(JSON.stringify(body), { status })

async function refusedClient() {
  const { server, client } = await livePages()
  server.drop(4400)
  return { server, client }
}

// With sockets.

test("the socket opens with the first collection, or when told to", async () => {
  const server = new FakeServer()
  const client = server.connect()
  await settle()
  assert.equal(server.sockets.length, 0)
  assert.equal(client.status, "connecting")
  client.collection("pages")
  client.collection("projects")
  assert.equal(server.sockets.length, 1)
  assert.equal(server.socket.protocol, "sqla-realtime.v1")
  server.connect().open()
  assert.equal(server.sockets.length, 2, "each client has its own")
})

test("each failed attempt doubles the limit of the next wait", async () => {
  const server = new FakeServer()
  server.random = 1
  server.connect().open()
  for (const limit of [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]) {
    server.drop()
    await settle()
    assert.deepEqual(server.waits, [limit])
    server.pass(limit)
  }
  assert.equal(server.sockets.length, 9)
})

test("a wait of nothing is a wait that ends", async () => {
  const { server } = await livePages()
  server.random = 0
  server.drop()
  server.pass(0)
  assert.equal(server.sockets.length, 2)
})

for (const [lasting, limit] of [[9_999, 1000], [10_000, 500]])
  test(`tries after a connection of ${lasting} ms: the next wait is up to ${limit} ms`, async () => {
    const server = new FakeServer()
    server.random = 1
    server.connect().open()
    server.drop()
    await settle()
    server.pass(500)
    await server.accept()
    server.pass(lasting)
    server.drop()
    assert.deepEqual(server.waits, [limit])
  })

test("the moment that the server has chosen is kept, and a little more at random", async () => {
  const { server } = await livePages()
  server.random = 0.25
  server.push({ type: "bye", code: 4500, reason: "restarting", retry_after_ms: 20_000 })
  server.drop(4500)
  assert.deepEqual(server.waits, [20_125])
})

for (const code of [4400, 4499, 1002, 1003, 1007, 1008, 1009, 1010])
  test(`after ${code} the client does not come back`, async () => {
    const { server, client } = await livePages()
    server.drop(code)
    assert.equal(client.status, "refused")
    const message = `The connection was closed: ${code}.`
    const fix = "When that is put right, open() connects again."
    assert.deepEqual(client.reason, { code: `closed-${code}`, message, fix })
    for (const event of ["online", "pageshow", "visibilitychange"]) server.event(event)
    server.pass(3_600_000)
    assert.equal(server.sockets.length, 1)
  })

for (const code of [1000, 1001, 1006, 1011, 4500, 4501, 4502, 4503, 4504])
  test(`after ${code} it does`, async () => {
    const { server, client } = await livePages()
    server.drop(code)
    assert.equal(client.status, "offline")
    server.pass(500)
    await server.accept()
    assert.equal(client.status, "live")
    assert.equal(client.reason.code, "live")
  })

test("the server's name for a close is the reason's code", async () => {
  for (const bye of [true, false]) {
    const { server, client } = await livePages()
    if (bye) server.push({ type: "bye", code: 4400, reason: "bad-messages" })
    server.drop(4400, bye ? "" : "bad-messages")
    assert.equal(client.reason.code, "bad-messages")
    assert.equal(client.reason.message, "The connection was closed: bad-messages.")
  }
})

test("a refused client can be opened again", async () => {
  const { server, client } = await refusedClient()
  client.open()
  assert.equal(client.status, "connecting")
  assert.equal(client.reason.code, "connecting")
  await server.accept()
  assert.equal(client.status, "live")
})

test("an attempt that takes 10 s is given up", async () => {
  const server = new FakeServer()
  const client = server.connect()
  client.open()
  server.pass(9_999)
  assert.equal(server.socket.closedBy, null)
  server.pass(1)
  assert.equal(server.socket.closedBy, "client")
  await settle()
  assert.equal(client.status, "offline")
  assert.equal(client.reason.code, "unreachable")
})

test("so is a server that does not answer hello", async () => {
  const server = new FakeServer()
  server.connect().open()
  server.pass(9_000)
  await server.open()
  const [socket] = server.sockets
  server.pass(9_999)
  assert.equal(socket.closedBy, null)
  server.pass(1)
  assert.equal(socket.closedBy, "client")
  assert.equal(server.sockets.length, 2)
})

test("silence for ping and 10 s more is death; any message is life", async () => {
  const { server, client } = await livePages()
  for (const message of [{ type: "ping" }, "not json", { type: "pong" }, { type: "from the future" }]) {
    server.pass(20_000)
    server.push(message)
  }
  server.pass(34_999)
  assert.equal(client.status, "live")
  server.pass(1)
  assert.equal(client.status, "offline")
  assert.equal(server.socket.closedBy, "client")
  server.pass(500)
  assert.equal(server.sockets.length, 2)
})

test("the server's ping decides how long silence may last", async () => {
  const server = new FakeServer()
  const client = server.connect()
  client.open()
  await server.accept(5)
  server.pass(14_999)
  assert.equal(client.status, "live")
  server.pass(1)
  assert.equal(client.status, "offline")
})

test("a ping of a million years does not spin", async () => {
  const server = new FakeServer()
  server.connect().open()
  await server.accept(1e12)
  assert.ok(server.waits[0] < 2 ** 31)
})

test("after a sleep the silence is noticed on waking, not by the timer", async () => {
  const { server, client } = await livePages()
  server.time += 3_600_000
  server.event("pageshow")
  assert.equal(client.status, "offline")
  const awake = await livePages()
  awake.server.event("pageshow")
  assert.equal(awake.client.status, "live")
})

test("an error without a close ends the attempt; its late close does nothing", async () => {
  const server = new FakeServer()
  const client = server.connect()
  client.open()
  const { socket } = server
  socket.readyState = 3
  socket.fire("error")
  await settle()
  assert.deepEqual(server.waits, [250])
  socket.fire("close", { code: 1006 })
  await settle()
  assert.deepEqual(server.waits, [250])
  assert.equal(client.status, "offline")
  assert.equal(server.fetched.length, 1)
})

test("an error on a socket that still lives is no end", async () => {
  const { server, client } = await livePages()
  server.socket.fire("error")
  assert.equal(client.status, "live")
})

test("what an earlier socket still says is not heard", async () => {
  const { server, client, pages } = await livePages()
  const first = server.socket
  server.event("offline")
  server.event("online")
  await server.accept()
  server.push({ commit: "e.9", changes: [change("destroy", "pages", { id: 1 })] }, first)
  first.fire("close", { code: 4400 })
  assert.equal(client.status, "live")
  assert.equal(client.position, "e.1")
  assert.equal(pages.rows.length, 2)
})

// Why a socket never opened.

for (const status of [400, 403])
  test(`a refusal with ${status} is final and says why`, async () => {
    const server = new FakeServer()
    const client = server.connect()
    server.answer = json(status, refusal)
    client.open()
    server.drop()
    await settle()
    assert.deepEqual(server.fetched, ["https://server.example/realtime/ws"])
    assert.equal(client.status, "refused")
    assert.deepEqual(client.reason, { code: "origin-refused", message: "Not from there.", fix: "Add it to origins." })
    server.pass(3_600_000)
    assert.equal(server.sockets.length, 1)
  })

for (const [name, answer] of [
  ["by somebody else (502)", json(502, refusal)],
  ["by nobody", async () => Promise.reject(new TypeError("Failed to fetch"))],
])
  test(`answered ${name} the client tries again later`, async () => {
    const server = new FakeServer()
    const client = server.connect()
    server.answer = answer
    client.open()
    server.drop()
    await settle()
    assert.equal(client.status, "offline")
    assert.deepEqual(server.waits, [250])
    server.pass(250)
    assert.equal(server.sockets.length, 2)
  })

for (const [name, answer] of [
  ["that the server is fine (426)", json(426, { type: "error", code: "upgrade-required", message: "As a WebSocket." })],
  ["with another JSON", json(403, { detail: "no" })],
  ["with null", json(403, null)],
  ["with a page", async () => new Response("<h1>Forbidden</h1>", { status: 403 })],
])
  test(`answered ${name} it tries once more at once, then without WebSocket`, async () => {
    const server = new FakeServer()
    const client = server.connect()
    server.answer = answer
    client.open()
    server.drop()
    await settle()
    assert.deepEqual([client.status, server.sockets.length, server.posts.length], ["connecting", 2, 0])
    server.drop()
    await server.loaded(() => server.posts.length)
    assert.deepEqual([client.status, server.sockets.length, server.posts[0].name], ["connecting", 2, "sse"])
  })

test("a connection that was open is not asked about", async () => {
  const { server } = await livePages()
  server.drop()
  await settle()
  assert.deepEqual(server.fetched, [])
})

test("an answer that comes after its attempt is not heard", async () => {
  const server = new FakeServer()
  const client = server.connect()
  let answer
  server.answer = () => new Promise(resolve => (answer = resolve))
  client.open()
  server.drop()
  await settle()
  server.pass(10_000)
  assert.equal(client.status, "offline")
  server.pass(250)
  server.answer = () => new Promise(() => {})
  server.drop()
  answer(await json(403, refusal)())
  await settle()
  assert.notEqual(client.status, "refused")
})

// A server that the page's own server starts.

const knock = url => ({ url, cache: "no-store", redirect: "manual" })
const knocksAt = async (page, url) => {
  const server = new FakeServer()
  server.location = page && new URL(page)
  server.connect({ url }).open()
  assert.deepEqual(server.knocks, [], "not before the attempt has failed")
  server.drop()
  await settle()
  return server.knocks
}

for (const [page, url, knocked] of [
  ["http://localhost:5000/a/b?c#d", "ws://localhost:8765/realtime/ws", "http://localhost:5000/realtime/realtime.js"],
  ["http://127.0.0.1:5000/", "ws://localhost:5000/realtime/ws", "http://127.0.0.1:5000/realtime/realtime.js"],
  ["https://app.example/", "wss://live.example/deep/base/ws?x=1", "https://app.example/deep/base/realtime.js"],
  ["http://app.example/", "wss://app.example/realtime/ws", "http://app.example/realtime/realtime.js"],
])
  test(`a page of ${page} without ${url} knocks at ${knocked}`, async () => {
    assert.deepEqual(await knocksAt(page, url), [knock(knocked)])
  })

for (const [page, url] of [
  ["http://localhost:5000/a", "ws://localhost:5000/realtime/ws"],
  ["https://app.example/a", "wss://app.example/realtime/ws"],
  ["https://app.example:443/a", "https://app.example/realtime/ws"],
  [undefined, "wss://app.example/realtime/ws"],
])
  test(`a page of ${page} without ${url} has nowhere to knock`, async () => {
    assert.deepEqual(await knocksAt(page, url), [])
  })

test("each attempt that fails before it opens knocks once, one that takes too long, too", async () => {
  const server = new FakeServer()
  server.connect().open()
  for (const fails of [() => server.drop(), () => server.pass(10_000), () => server.drop()]) {
    const before = server.knocks.length
    fails()
    await settle()
    assert.equal(server.knocks.length, before + 1)
    server.pass(server.waits[0])
  }
  assert.equal(server.sockets.length, 4)
  assert.equal(server.knocks.length, 3)
})

test("an attempt that opens does not knock, however it ends", async () => {
  const { server } = await livePages()
  server.drop()
  server.pass(250)
  await server.open()
  server.pass(10_000)
  server.pass(1000)
  await server.open()
  server.drop(4500)
  await settle()
  assert.equal(server.sockets.length, 3)
  assert.deepEqual(server.knocks, [])
})

test("an attempt that this side ends does not knock", async () => {
  const server = new FakeServer()
  const client = server.connect()
  client.open()
  server.event("offline")
  server.event("online")
  client.close()
  await settle()
  assert.equal(server.sockets.length, 2)
  assert.deepEqual(server.knocks, [])
})

for (const [name, answerKnock] of [
  ["fails", async () => Promise.reject(new TypeError("Failed to fetch"))],
  ["throws", () => { throw new TypeError("not allowed here") }],
  ["is refused", async () => new Response(JSON.stringify(refusal), { status: 403 })],
  ["is never answered", () => new Promise(() => {})],
])
  test(`a knock that ${name} changes nothing`, async () => {
    const server = new FakeServer()
    const client = server.connect()
    server.answerKnock = answerKnock
    client.open()
    server.drop()
    await settle()
    assert.equal(server.knocks.length, 1)
    assert.equal(client.status, "offline")
    assert.equal(client.reason.code, "unreachable")
    assert.deepEqual(server.waits, [250])
    server.pass(250)
    await server.accept()
    assert.equal(client.status, "live")
  })

// Who says hello.

test("without a token hello has none", async () => {
  for (const token of [undefined, null, () => null]) {
    const server = new FakeServer()
    server.connect({ token }).open()
    await server.open()
    assert.deepEqual(server.sent, [{ type: "hello", connection: ID }])
  }
})

test("a token function is asked anew for every attempt", async () => {
  let asked = 0
  const { server } = await livePages({ token: async () => `t${++asked}` })
  assert.deepEqual(server.sent[0], { type: "hello", token: "t1", connection: ID })
  await server.blink()
  assert.deepEqual(server.sent[0], { type: "hello", token: "t2", connection: ID })
})

for (const code of ["token-expired", "bad-token"])
  test(`after ${code} the token is asked for once more`, async () => {
    let asked = 0
    const server = new FakeServer()
    const client = server.connect({ token: () => `t${++asked}` })
    client.open()
    await server.open()
    server.push({ type: "error", code, message: "Too old." })
    await settle()
    assert.deepEqual(server.sent.map(({ type, token }) => [type, token]), [["hello", "t1"], ["hello", "t2"]])
    assert.equal(client.status, "connecting")
    server.push({ type: "hello", connection: "c-1", ping: 25 })
    assert.equal(client.status, "live")
    // The next attempt may ask twice again.
    server.drop()
    server.pass(500)
    await server.open()
    server.push({ type: "error", code, message: "Too old." })
    await settle()
    assert.deepEqual(server.sent.map(message => message.token), ["t3", "t4"])
  })

test("the second time it is refused, and the sentence is the server's", async () => {
  const server = new FakeServer()
  const client = server.connect({ token: () => "t" })
  client.open()
  await server.open()
  for (const message of ["First.", "Second."]) {
    server.push({ type: "error", code: "token-expired", message })
    await settle()
  }
  assert.equal(client.status, "refused")
  assert.deepEqual(client.reason, {
    code: "token-expired",
    message: "Second.",
    fix: "When that is put right, open() connects again.",
  })
  assert.equal(server.socket.closedBy, "client")
  assert.equal(server.sent.length, 2)
})

test("any other error that answers hello is final", async () => {
  const server = new FakeServer()
  const client = server.connect({ token: 7 })
  client.open()
  await server.open()
  server.push({ type: "error", code: "invalid-field", message: "token: text, please." })
  assert.equal(client.status, "refused")
})

const failing = {
  throws: () => {
    throw new Error("no network")
  },
  rejects: async () => Promise.reject(new Error("no network")),
}
for (const [name, token] of Object.entries(failing))
  test(`a token function that ${name} is a failed attempt`, async () => {
    const server = new FakeServer()
    const client = server.connect({ token })
    client.open()
    await server.open()
    assert.equal(client.status, "offline")
    const fix = "It is tried again by itself; see why the token function fails."
    assert.deepEqual(client.reason, { code: "token-failed", message: "Error: no network", fix })
    assert.deepEqual(server.waits, [250])
  })

test("what a token function says after its attempt is not heard", async () => {
  const server = new FakeServer()
  const tokens = []
  const fails = []
  const token = () => new Promise((resolve, reject) => tokens.push(resolve) && fails.push(reject))
  const client = server.connect({ token })
  client.open()
  await server.open()
  const first = server.socket
  server.pass(10_250)
  await server.open()
  fails[0](new Error("late"))
  await settle()
  assert.equal(client.reason.code, "token-slow")
  server.pass(10_500)
  await server.open()
  tokens[1]("old")
  await settle()
  assert.deepEqual([first.sent, server.sent], [[], []])
  tokens[2]("new")
  await settle()
  assert.deepEqual(server.sent, [{ type: "hello", token: "new", connection: ID }])
})

// The browser.

test("offline pauses, online goes on at once", async () => {
  const { server, client, pages } = await livePages()
  server.event("offline")
  assert.equal(client.status, "offline")
  assert.equal(client.reason.message, "This device is offline.")
  assert.equal(pages.status, "stale")
  assert.equal(server.socket.closedBy, "client")
  server.pass(3_600_000)
  assert.equal(server.sockets.length, 1)
  server.document.visibilityState = "hidden"
  server.event("online")
  assert.equal(server.sockets.length, 2)
  await server.accept()
  assert.equal(client.status, "live")
})

test("offline does not forget how often it failed", async () => {
  const server = new FakeServer()
  server.random = 1
  server.connect().open()
  server.drop()
  await settle()
  assert.deepEqual(server.waits, [500])
  server.event("offline")
  assert.deepEqual(server.waits, [])
  server.event("online")
  server.drop()
  await settle()
  assert.deepEqual(server.waits, [1000])
})

for (const [event, state, dials] of [
  ["resume", "hidden", true],
  ["online", "visible", true],
  ["pageshow", "visible", true],
  ["resume", "visible", true],
  ["visibilitychange", "visible", true],
  ["visibilitychange", "hidden", false],
])
  test(`${event} (${state}) ${dials ? "cuts the wait short" : "does not"}`, async () => {
    const { server } = await livePages()
    server.drop()
    server.document.visibilityState = state
    server.event(event)
    assert.equal(server.sockets.length, dials ? 2 : 1)
    server.event(event)
    assert.equal(server.sockets.length, dials ? 2 : 1, "once")
  })

test("a closed client is closed, and the browser's events are let go", async () => {
  const { server, client, pages } = await livePages()
  const told = []
  client.on("status", status => told.push(status))
  client.close()
  assert.equal(client.status, "closed")
  assert.equal(client.connection, ID)
  assert.equal(pages.status, "stale")
  assert.equal(server.socket.closedBy, "client")
  for (const event of ["offline", "online", "pageshow"]) server.event(event)
  server.pass(3_600_000)
  client.collection("other")
  assert.equal(server.sockets.length, 1)
  assert.deepEqual(server.waits, [])
  client.open()
  await server.accept()
  assert.deepEqual(told, ["live", "closed", "connecting", "live"])
  server.event("offline")
  assert.equal(client.status, "offline")
})

test("a page that the browser freezes lets its connection go, and takes it up again", async () => {
  for (const [sleep, wake] of [["freeze", "resume"], ["pagehide", "pageshow"]]) {
    const { server, client, pages } = await livePages()
    server.event(sleep)
    assert.deepEqual([client.status, client.reason.code, pages.status], ["offline", "frozen", "stale"])
    assert.match(client.reason.fix, /when the page is shown/)
    assert.equal(server.socket.closedBy, "client")
    server.pass(3_600_000)
    assert.equal(server.sockets.length, 1)
    server.event(wake)
    await server.accept()
    assert.deepEqual(server.take(), [{ type: "subscribe", id: 2, channels: ["pages"], after: "e.1" }])
  }
})

test("every listener on the page is taken away again", async () => {
  const server = new FakeServer()
  const listening = []
  const note = (verb, change) => (type, fn, capture) => {
    assert.equal(capture, true, "some events do not bubble")
    change(`${type} ${typeof fn}`)
  }
  server.addEventListener = note("add", name => listening.push(name))
  server.removeEventListener = note("remove", name => listening.splice(listening.indexOf(name), 1))
  const client = server.connect()
  client.open()
  assert.equal(listening.length, 7)
  client.close()
  assert.deepEqual(listening, [])
})

test("a ping tells the position, once in each interval, and not before the pong of the last one", async () => {
  const { server } = await livePages()
  const pings = () => server.sent.filter(({ type }) => type === "ping").map(({ position }) => position)
  const rest = () => {
    server.pass(24_999)
    server.push({ commit: "e.2", changes: [] })
    server.pass(1)
  }
  rest()
  assert.deepEqual(pings(), ["e.2"])
  rest()
  assert.deepEqual(pings(), ["e.2"])
  server.push({ type: "pong" })
  rest()
  assert.deepEqual(pings(), ["e.2", "e.2"])
  await server.blink()
  rest()
  assert.deepEqual(pings(), ["e.2"])
})

test("a status that stays is not told again", async () => {
  const server = new FakeServer()
  const client = server.connect()
  const told = []
  client.on("status", status => told.push([status, client.reason?.code]))
  client.open()
  for (let i = 0; i < 3; i++) {
    server.drop()
    await settle()
    server.pass(30_000)
  }
  assert.deepEqual(told, [["connecting", "idle"], ["connecting", "connecting"], ["offline", "unreachable"]])
  server.event("offline")
  assert.deepEqual(told.at(-1), ["offline", "offline"], "another reason is news")
})

test("a listener that closes the client leaves the others with the truth", async () => {
  const { server, client } = await livePages()
  const told = []
  client.on("status", status => status === "offline" && client.close())
  client.on("status", status => told.push(status))
  server.drop()
  assert.equal(client.status, "closed")
  assert.equal(told.at(-1), "closed")
  assert.deepEqual(server.waits, [])
})

test("where there is no window and no document it works, too", async () => {
  const names = ["addEventListener", "removeEventListener", "document", "location"]
  const server = Object.assign(new FakeServer(), Object.fromEntries(names.map(name => [name, undefined])))
  const client = server.connect()
  client.open()
  await server.accept()
  assert.equal(client.status, "live")
  client.close()
})
