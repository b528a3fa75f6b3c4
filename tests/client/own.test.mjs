/** A page's own writes: known as its own, waited for, and no optimistic row flickers or shows twice. */

import assert from "node:assert/strict"
import { test } from "node:test"

import { FakeServer, ID, change, livePages, settle } from "./fake-server.mjs"

const created = (position, id, title, origin) => (
  { commit: position, origin, changes: [change("create", "pages", { id, title })] }
)
/** Whether a promise is settled by now, and how. */
async function stateOf(promise) {
  let state = "waiting"
  promise.then(() => (state = "reached"), error => (state = error.message))
  await settle()
  return state
}

test("the id is made of 22 random characters that need no escaping", () => {
  const server = new FakeServer()
  const ids = new Set()
  for (let i = 0; i < 200; i++) {
    server.crypto = { getRandomValues: bytes => crypto.getRandomValues(bytes) }
    const { connection, headers } = server.connect()
    assert.match(connection, /^c-[A-Za-z0-9_-]{22}$/)
    assert.deepEqual(headers, { "X-Realtime-Connection": connection })
    ids.add(connection)
  }
  assert.equal(ids.size, 200)
})

test("it stays the same whatever happens to the connection", async () => {
  const { server, client } = await livePages()
  const { connection } = client
  await server.blink()
  assert.equal(server.sent[0].connection, connection)
  server.drop(4400)
  client.open()
  await server.accept()
  assert.deepEqual([client.connection, server.sent[0].connection], [connection, connection])
})

/** A page that shows what it has written before the server has: `drawn` is every list that it drew. */
function pageOf({ client, pages }) {
  const page = { drafts: [], drawn: [] }
  page.draw = () => page.drawn.push([...pages.rows.map(row => row.title), ...page.drafts.map(draft => `(${draft})`)])
  pages.subscribe(page.draw)
  pages.on("change", ({ own, changes }) => {
    if (own) page.drafts = page.drafts.filter(draft => !changes.some(({ record }) => record?.title === draft))
  })
  page.write = async (title, responded) => {
    page.drafts.push(title)
    page.draw()
    await client.reached(await responded)
    page.drafts = page.drafts.filter(draft => draft !== title)
  }
  return page
}

test("the response comes first: the draft gives way to its row in one event", async () => {
  const { server, client, pages } = await livePages()
  const page = pageOf({ client, pages })
  const written = page.write("Third", "e.3")
  await settle()
  server.push(created("e.2", 7, "Of somebody else"))
  server.push(created("e.3", 8, "Third", ID))
  await written
  await settle()
  assert.deepEqual(page.drawn, [
    ["First", "Second"],
    ["First", "Second", "(Third)"],
    ["First", "Second", "Of somebody else", "(Third)"],
    ["First", "Second", "Of somebody else", "Third"],
  ])
})

test("it need not even look whether the commit is its own", async () => {
  const { server, client, pages } = await livePages({ own: "skip" })
  const page = pageOf({ client, pages })
  const written = page.write("Third", "e.2")
  await settle()
  server.push(created("e.2", 8, "Third", ID))
  await written
  await settle()
  assert.deepEqual(page.drawn.slice(2), [["First", "Second", "Third"]])
})

test("the commit comes first: the same", async () => {
  const { server, client, pages } = await livePages()
  const page = pageOf({ client, pages })
  let respond
  const written = page.write("Third", new Promise(resolve => (respond = resolve)))
  server.push(created("e.2", 8, "Third", ID))
  respond("e.2")
  await written
  assert.deepEqual(page.drawn.slice(2), [["First", "Second", "Third"]])
})

test("a position is reached with its commit, with a later one, with a ping, and at once if it is past", async () => {
  for (const message of [created("e.12", 3, "x"), created("e.13", 3, "x"), { type: "ping", position: "e.12" }]) {
    const { server, client } = await livePages()
    const reached = client.reached("e.12")
    server.push({ type: "ping", position: "e.2" })
    server.push(created("e.11", 3, "x"))
    assert.equal(await stateOf(reached), "waiting")
    server.push(message)
    assert.equal(await stateOf(reached), "reached")
    assert.equal(await stateOf(client.reached("e.12")), "reached")
  }
})

test("an epoch may have dots", async () => {
  const { server, client } = await livePages()
  server.push({ type: "ping", position: "e.9.3" })
  const reached = client.reached("e.9.10")
  assert.equal(await stateOf(reached), "waiting")
  server.push({ type: "ping", position: "e.9.11" })
  assert.equal(await stateOf(reached), "reached")
})

test("a response without a position has nothing to wait for; nonsense is none", async () => {
  const client = new FakeServer().connect()
  for (const nothing of [null, undefined, ""]) assert.equal(await stateOf(client.reached(nothing)), "reached")
  for (const nonsense of ["e", "e.", ".5", "e.x"]) assert.match(await stateOf(client.reached(nonsense)), /is no position/)
})

test("a log that begins anew has it in the rows that it begins with", async () => {
  const { server, client } = await livePages()
  const reached = client.reached("e.50")
  await server.blink()
  server.push({ type: "ping" })
  assert.equal(await stateOf(reached), "waiting")
  server.snapshot("f.1", { pages: [] })
  assert.equal(await stateOf(reached), "reached")
})

test("a log that the client has known at the time is not a later one", async () => {
  const { server, client } = await livePages()
  const reached = client.reached("f.3")
  server.push({ type: "ping", position: "e.99" })
  assert.equal(await stateOf(reached), "waiting")
  await server.blink()
  server.snapshot("f.2", { pages: [] })
  assert.equal(await stateOf(reached), "waiting")
  server.push({ type: "ping", position: "f.3" })
  assert.equal(await stateOf(reached), "reached")
})

test("it is reached when every channel has it, be it by a resume", async () => {
  const { server, client } = await livePages()
  const more = client.collection("more")
  await settle()
  server.snapshot("e.2", { more: [] })
  await server.blink()
  const [{ id }] = server.take()
  const reached = client.reached("e.4")
  server.push({ type: "subscribed", id, position: "e.5", channels: [{ channel: "pages", recovered: true }] })
  assert.equal(await stateOf(reached), "waiting", "the other one is still at e.2")
  server.push({ type: "subscribed", id, position: "e.5", channels: [{ channel: "more", recovered: true }] })
  assert.equal(await stateOf(reached), "reached")
  assert.equal(more.status, "live")
})

test("what was refused, or fails, is not waited for", async () => {
  const { server, client } = await livePages()
  client.collection("refused")
  client.collection("failing")
  await settle()
  for (const [channel, code] of [["refused", "forbidden"], ["failing", "snapshot-failed"]])
    server.push({ type: "error", id: 2, channel, code, message: "?" })
  const reached = client.reached("e.2")
  server.push({ type: "ping", position: "e.2" })
  assert.equal(await stateOf(reached), "reached")
})

test("it is not reached any more when the client is closed or refused", async () => {
  const { server, client } = await livePages()
  const reached = client.reached("e.2")
  server.drop()
  assert.equal(await stateOf(reached), "waiting")
  client.close()
  assert.equal(await stateOf(reached), "The client was closed.")
  assert.equal(await stateOf(client.reached("e.2")), "The client was closed.")
  const other = await livePages()
  const never = other.client.reached("e.2")
  other.server.drop(4400)
  assert.equal(await stateOf(never), "The connection was closed: 4400.")
})

test("two commits in one breath are told as two, each to its own listener's time", async () => {
  const { server, client, pages } = await livePages()
  const told = []
  pages.on("change", ({ commit }) => told.push(commit))
  pages.on("rows", rows => told.push(rows.length))
  told.length = 0
  const reached = client.reached("e.2").then(() => told.push("reached"))
  server.push(created("e.2", 3, "x", ID))
  server.push(created("e.3", 4, "y"))
  await reached
  await settle()
  assert.deepEqual(told.filter(one => one !== "reached"), ["e.2", 3, "e.3", 4])
})
