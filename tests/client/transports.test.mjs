/** One conversation, three transports: what a page sees does not depend on what carries it. */

import assert from "node:assert/strict"
import { test } from "node:test"

import { CARRIERS } from "./carriers.mjs"
import { ID, change, settle } from "./fake-server.mjs"

const update = (channel, n, id = 1) => change("update", channel, { id, n })

for (const Carrier of CARRIERS) {
  const { transport } = Carrier
  const also = (name, fn) => test(`${transport}: ${name}`, fn)

  /** Two channels, live at e.1. */
  async function live(options) {
    const carrier = new Carrier(options)
    const { client } = carrier
    const [a, b] = [client.collection("a"), client.collection("b")]
    await carrier.admit()
    assert.deepEqual(carrier.asked, [{ type: "subscribe", id: 1, channels: ["a", "b"] }])
    await carrier.snapshot("e.1", { a: [{ id: 1, n: 1 }], b: [{ id: 1, n: 1 }] })
    return { carrier, client, server: carrier.server, a, b }
  }

  also("rows, commits, one position", async () => {
    const { carrier, client, a, b } = await live()
    assert.deepEqual([client.status, client.transport, client.position], ["live", transport, "e.1"])
    await carrier.tell({ commit: "e.2", changes: [update("a", 2), update("b", 2)] })
    await carrier.tell({ commit: "e.3", changes: [update("b", 3)] }, { type: "ping", position: "e.4" })
    assert.deepEqual([a.get(1).n, b.get(1).n, client.position], [2, 3, "e.4"])
  })

  also("the client's id and token are in the hello", async () => {
    const { carrier, client } = await live({ token: () => "t1" })
    assert.deepEqual(carrier.hello, { type: "hello", token: "t1", connection: ID })
    assert.deepEqual(client.headers, { "X-Realtime-Connection": ID })
  })

  also("a channel that comes later, and one that goes", async () => {
    const { carrier, client, server, a, b } = await live()
    const c = client.collection("c")
    await carrier.more()
    assert.deepEqual(carrier.asked, [{ type: "subscribe", id: 2, channels: ["c"] }])
    await carrier.snapshot("e.5", { c: [{ id: 7, n: 7 }] })
    a.close()
    server.pass(1000)
    await carrier.tell({ commit: "e.6", changes: [update("a", 6), update("b", 6), update("c", 6, 7)] })
    assert.deepEqual([a.get(1).n, b.get(1).n, c.get(7).n, client.position], [1, 6, 6, "e.6"])
  })

  also("after a break everything resumes from the position", async () => {
    const { carrier, client, server, a, b } = await live()
    await carrier.tell({ commit: "e.2", changes: [update("a", 2)] })
    const kept = a.get(1)
    await carrier.cut()
    assert.deepEqual([client.status, a.status, a.get(1)], ["offline", "stale", kept])
    server.pass(500)
    await carrier.admit()
    assert.deepEqual(carrier.asked, [{ type: "subscribe", id: 2, channels: ["a", "b"], after: "e.2" }])
    await carrier.tell({
      type: "subscribed",
      id: 2,
      position: "e.4",
      channels: [{ channel: "a", recovered: true }, { channel: "b", recovered: true }],
      commits: [{ commit: "e.3", changes: [update("b", 3)] }],
    })
    assert.deepEqual([a.get(1), b.get(1).n, a.status, client.position], [kept, 3, "live", "e.4"])
  })

  also("a reset is asked again without a position", async () => {
    const { carrier, a, b } = await live()
    await carrier.tell({ type: "reset", channels: ["a"], reason: "invalidated" })
    assert.deepEqual([a.status, a.rows.length, b.status], ["stale", 1, "live"])
    await carrier.more()
    assert.deepEqual(carrier.asked, [{ type: "subscribe", id: 2, channels: ["a"] }])
    await carrier.snapshot("e.2", { a: [{ id: 2, n: 2 }] })
    assert.deepEqual([a.status, a.rows], ["live", [{ id: 2, n: 2 }]])
  })

  also("what is taken away is gone, what is refused says so, the others go on", async () => {
    const { carrier, client, a, b } = await live()
    const c = client.collection("c")
    await carrier.more()
    await carrier.tell({ type: "error", id: 2, channel: "c", code: "forbidden", message: "No." })
    await carrier.tell({ type: "leave", channels: ["a"], reason: "forbidden" })
    await carrier.tell({ commit: "e.2", changes: [update("a", 2), update("b", 2)] })
    assert.deepEqual([a.status, a.rows, c.status, b.status, b.get(1).n], ["refused", [], "refused", "live", 2])
  })

  also("rules that were asked again answer without an id", async () => {
    const { carrier, client, a, b } = await live()
    const commits = [{ commit: "e.2", changes: [update("a", 2), update("b", 2)] }]
    const channels = [{ channel: "a", recovered: true }, { channel: "elsewhere", recovered: true }]
    await carrier.tell({ type: "subscribed", position: "e.3", channels, commits })
    assert.deepEqual([a.get(1).n, b.get(1).n, client.position, a.status], [2, 1, "e.3", "live"])
    await carrier.tell({ type: "subscribed", position: "e.4", channels: [{ channel: "b", rows: [] }] })
    assert.deepEqual([b.rows, b.status], [[], "live"])
  })

  also("expired rights are renewed with another token, and nothing is lost", async () => {
    let asked = 0
    const { carrier, client, server, a } = await live({ token: async () => `t${++asked}` })
    const told = []
    client.on("status", status => told.push([status, client.reason.code]))
    await carrier.tell({ commit: "e.2", changes: [update("a", 2)] })
    await carrier.tell({ type: "needs_auth", reason: "token-expired" })
    assert.deepEqual([client.status, client.reason.message, a.status], ["connecting", "The token has expired.", "stale"])
    if (transport === "websocket") {
      await carrier.more()
      assert.deepEqual(carrier.asked, [{ type: "renew", id: 2, token: "t2" }])
      await carrier.tell({ type: "renewed", id: 2 })
      await carrier.more()
      assert.equal(server.sockets.length, 1)
    } else {
      await carrier.admit()
      assert.equal(carrier.hello.token, "t2")
    }
    const [{ id }] = carrier.asked
    assert.deepEqual(carrier.asked, [{ type: "subscribe", id, channels: ["a", "b"], after: "e.2" }])
    const channels = [{ channel: "a", recovered: true }, { channel: "b", recovered: true }]
    const commits = [{ commit: "e.3", changes: [update("a", 3)] }]
    await carrier.tell({ type: "subscribed", id, position: "e.3", channels, commits })
    assert.deepEqual([a.get(1).n, a.status, client.status], [3, "live", "live"])
    assert.deepEqual(told, [["live", "live"], ["connecting", "needs-auth"], ["live", "live"]])
  })

  also("a token that is refused twice is a refusal, in the server's words", async () => {
    let asked = 0
    const carrier = new Carrier({ token: () => `t${++asked}` })
    const { client, server } = carrier
    client.collection("a")
    const refusal = { type: "error", code: "bad-token", message: "Not one of ours." }
    for (const token of ["t1", "t2"]) {
      if (transport === "websocket") {
        if (asked === 0) await server.open()
        assert.equal(server.sent.at(-1).token, token)
        server.push(refusal)
      } else {
        const current = () => server.posts.findLast(post => !post.ended)
        await server.loaded(() => current()?.body[0].token === token)
        if (transport === "sse") {
          await current().stream()
          await server.posts.at(-1).push(refusal)
          await settle()
        } else await current().answer(200, [refusal, { type: "error", id: 1, code: "hello-required", message: "First." }])
      }
      await settle()
    }
    assert.deepEqual([client.status, client.reason.code, client.reason.message], ["refused", "bad-token", "Not one of ours."])
    assert.equal(asked, 2)
  })

  also("a goodbye is heeded", async () => {
    const { carrier, client, server } = await live()
    await carrier.tell({ type: "bye", code: 4500, reason: "restarting", retry_after_ms: 20_000 })
    if (transport !== "poll") await carrier.cut()
    assert.deepEqual([client.status, client.reason.code], ["offline", "restarting"])
    server.pass(20_000)
    assert.equal(client.reason.code, "restarting")
  })

  also("closing ends it", async () => {
    const { carrier, client, server, a } = await live()
    client.close()
    await settle()
    assert.deepEqual([client.status, a.status, server.waits.length], ["closed", "stale", 0])
    assert.equal((server.socket ?? carrier.stream ?? server.posts.at(-1))[transport === "websocket" ? "closedBy" : "ended"] !== null, true)
    const count = server.posts.length
    server.pass(3_600_000)
    await settle()
    assert.equal(server.posts.length, count)
  })

  also("hundreds of channels are asked for in messages of a hundred", async () => {
    const carrier = new Carrier()
    const names = Array.from({ length: 250 }, (_, i) => `channel/${i}`)
    for (const name of names) carrier.client.collection(name)
    await carrier.admit()
    assert.deepEqual(carrier.asked.map(message => message.channels.length), [100, 100, 50])
    assert.deepEqual(carrier.asked.flatMap(message => message.channels), names)
  })
}
