/** Members and events, over three transports: who is there, who comes and goes, what is said, and why something was not. */

import assert from "node:assert/strict"
import { test } from "node:test"

import { presence } from "../../sqla_realtime/client/presence.js"
import { CARRIERS } from "./carriers.mjs"
import { settle } from "./fake-server.mjs"

const ANN = { id: "1", info: { name: "Ann" } }
const BOB = { id: "2", info: { name: "Bob" } }
const ROOM = "rooms/5"

/** A room with all that it tells; the status and the members that it had at once are not among it. */
function listen(room) {
  const told = []
  for (const event of ["status", "members", "join", "leave", "event:typing"])
    room.on(event, value => told.push([event, Array.isArray(value) ? value.map(({ id }) => id) : value]))
  told.splice(0)
  return told
}

for (const Carrier of CARRIERS) {
  const { transport } = Carrier
  const also = (name, fn) => test(`${transport}: ${name}`, fn)
  const onPoll = transport === "poll"

  /** The newest attend. */
  async function asked(carrier) {
    const before = carrier.asked
    await carrier.more()
    return [...before, ...carrier.asked].findLast(({ type }) => type === "attend")
  }

  /** A room with Ann, who is the page's user. */
  async function live() {
    const carrier = new Carrier()
    const room = presence(carrier.client, ROOM)
    await carrier.admit()
    if (onPoll) await carrier.tell() // the first poll began before the client was live
    const { id, ...attend } = await asked(carrier)
    assert.deepEqual(attend, { type: "attend", channel: ROOM })
    await carrier.tell({ type: "members", id, channel: ROOM, tag: "t1", you: "1", members: [ANN] })
    return { carrier, room, id, told: listen(room), client: carrier.client, server: carrier.server }
  }

  /** Answers what the page says next, as the server would. */
  async function answer(carrier, make) {
    const { server } = carrier
    await settle()
    if (onPoll) {
      const post = server.posts.findLast(({ ended, body }) => !ended && body.some?.(({ type }) => type === "say"))
      const [hello, attend, say, ping] = post.body
      assert.deepEqual([hello.type, attend.type, attend.channel, ping.type], ["hello", "attend", ROOM, "ping"])
      await post.answer(200, [{ type: "hello" }, { ...attend, type: "members" }, make(say), { type: "pong" }])
      return say
    }
    await carrier.more()
    const [say] = carrier.asked
    await carrier.tell(make(say))
    return say
  }

  also("who is there, who comes, who goes", async () => {
    const { carrier, room, told } = await live()
    assert.deepEqual([room.status, room.me, room.members], ["live", "1", [ANN]])
    await carrier.tell({ type: "joined", channel: ROOM, tag: "t2", member: BOB })
    await carrier.tell({ type: "left", channel: ROOM, tag: "t1", member: "1" })
    assert.deepEqual(told, [["members", ["1", "2"]], ["join", BOB], ["members", ["2"]], ["leave", ANN]])
    await carrier.tell({ type: "joined", channel: "rooms/6", tag: "t", member: ANN }, { type: "left", channel: ROOM, tag: "t", member: "9" })
    assert.deepEqual(room.members, [BOB])
    assert.deepEqual(told.slice(4), [["members", ["2"]]])
  })

  also("what others say", async () => {
    const { carrier, told } = await live()
    const event = { type: "event", channel: ROOM, name: "typing", from: "2", data: { on: true } }
    await carrier.tell(event, { ...event, name: "other" }, { ...event, channel: "rooms/6" })
    assert.deepEqual(told, [["event:typing", { name: "typing", data: { on: true }, from: "2" }]])
  })

  also("what the page says is taken, or refused with a code", async () => {
    const { carrier, room } = await live()
    const done = room.send("typing", { on: true })
    const { id, ...said } = await answer(carrier, say => ({ type: "taken", id: say.id }))
    assert.deepEqual(said, { type: "say", channel: ROOM, name: "typing", data: { on: true } })
    assert.equal(await done, undefined)
    const refused = assert.rejects(room.send("typing", 5), { code: "invalid-event", message: "on: no", fix: "f" })
    await answer(carrier, say => ({ type: "error", id: say.id, code: "invalid-event", message: "on: no", fix: "f" }))
    await refused
    assert.equal(room.status, "live")
  })

  also("what is under way when the connection breaks is not known", async () => {
    const { carrier, room, client } = await live()
    const lost = assert.rejects(room.send("typing"), { code: "not-live", message: /not known/ })
    await settle()
    if (onPoll) client.close()
    else await carrier.cut()
    await lost
    await assert.rejects(room.send("typing"), { code: "not-live", message: /not in the room/ })
  })

  also("after a break it attends again, with what it knows", async () => {
    const { carrier, room, told, server } = await live()
    await carrier.tell({ type: "joined", channel: ROOM, tag: "t2", member: BOB })
    await carrier.cut()
    assert.deepEqual([room.status, room.members], ["stale", [ANN, BOB]])
    told.splice(0)
    server.pass(500)
    await carrier.admit()
    if (onPoll) await carrier.tell()
    const attend = await asked(carrier)
    assert.deepEqual([attend.type, attend.tag], ["attend", "t2"])
    await carrier.tell({ type: "members", id: attend.id, channel: ROOM, tag: "t2", you: "1" })
    assert.deepEqual(told, [["status", "live"]])
    await carrier.tell({ type: "members", channel: ROOM, tag: "t3", you: "1", members: [BOB] })
    assert.deepEqual(told.slice(1), [["members", ["2"]]], "one that nobody asked for")
  })

  also("a refusal empties it, until it is asked again", async () => {
    const { carrier, room, told } = await live()
    await carrier.tell({ type: "leave", channels: [ROOM], reason: "forbidden" })
    assert.deepEqual(told, [["members", []], ["status", "refused"]])
    assert.deepEqual([room.error.code, room.me], ["forbidden", null])
    room.retry()
    assert.equal(room.status, "loading")
    const { id, tag } = await asked(carrier)
    assert.equal(tag, undefined)
    await carrier.tell({ type: "error", id, code: "channel-full", message: "full" })
    assert.deepEqual([room.status, room.error], ["refused", { code: "channel-full", message: "full", fix: undefined }])
  })

  also("rows and members do not disturb each other", async () => {
    const { carrier, room, client, id } = await live()
    const rows = client.collection(ROOM)
    await carrier.more()
    await carrier.snapshot("e.1", { [ROOM]: [{ id: 1 }] })
    assert.deepEqual([rows.status, rows.rows, room.status], ["live", [{ id: 1 }], "live"])
    await carrier.tell({ type: "error", id, code: "presence-failed", message: "no" })
    assert.deepEqual([rows.status, room.status], ["live", "refused"])
  })

  also("all who show a room share it, and it is left after the last of them", async t => {
    t.mock.timers.enable({ apis: ["setTimeout"] })
    const { carrier, room, client } = await live()
    const other = presence(client, ROOM)
    assert.deepEqual([other.members, other.me], [[ANN], "1"])
    room.close()
    t.mock.timers.tick(5_000)
    other.close()
    other.close()
    t.mock.timers.tick(900)
    const third = presence(client, ROOM)
    t.mock.timers.tick(5_000)
    await settle()
    assert.equal(third.status, "live")
    third.close()
    t.mock.timers.tick(1_000)
    await carrier.more()
    if (onPoll) assert.deepEqual(carrier.asked, [], "it attends no more")
    else assert.deepEqual(carrier.asked.map(({ type, channel }) => [type, channel]), [["depart", ROOM]])
    const anew = presence(client, ROOM)
    assert.deepEqual([anew.status, anew.members], ["loading", []])
  })

  also("one whose token has ended attends again with another", async () => {
    const { carrier, room, told, id } = await live()
    await carrier.tell({ type: "error", id, code: "needs-auth", message: "x" })
    assert.deepEqual([room.status, told], ["live", []])
  })
}

const [WebSocketCarrier, , PollCarrier] = CARRIERS

test("a room may be there before the client is, and opens it", async () => {
  const carrier = new WebSocketCarrier()
  const room = presence(carrier.client, ROOM)
  assert.deepEqual([room.status, room.members, room.me, room.error, room.name], ["loading", [], null, null, ROOM])
  await carrier.admit()
  assert.deepEqual(carrier.asked.map(({ type }) => type), ["attend"])
  carrier.client.close()
  presence(carrier.client, "rooms/6")
  assert.equal(carrier.client.status, "closed", "what was closed stays closed")
})

test("an answer to an earlier question is none", async () => {
  const carrier = new WebSocketCarrier()
  const room = presence(carrier.client, ROOM)
  await carrier.admit()
  const [{ id }] = carrier.asked
  await carrier.tell({ type: "members", id: id - 1, channel: ROOM, tag: "t", members: [BOB] })
  assert.equal(room.status, "loading")
  await carrier.tell({ type: "joined", channel: ROOM, tag: "t", member: BOB })
  assert.deepEqual(room.members, [], "not before it is known who else is there")
})

test("over long-poll a page that knows who is there waits for news", async () => {
  const carrier = new PollCarrier()
  const { server } = carrier
  const room = presence(carrier.client, ROOM)
  await carrier.admit()
  await carrier.tell()
  await carrier.more()
  assert.ok(carrier.post.body.some(({ type }) => type === "ping"), "who is there is answered at once")
  const [{ id }] = carrier.asked
  await carrier.tell({ type: "members", id, channel: ROOM, tag: "t1", members: [ANN] })
  await carrier.more()
  assert.deepEqual(carrier.post.body.slice(1), [{ type: "attend", id, channel: ROOM, tag: "t1" }])
  const before = server.posts.length
  await carrier.tell({ type: "ping" })
  assert.equal(server.posts.length, before, "no news, and too soon")
  server.pass(1_000)
  await settle()
  assert.equal(server.posts.length, before + 1)
  assert.equal(room.status, "live")
})

test("over long-poll what can't be said is rejected, and the listening goes on", async () => {
  const carrier = new PollCarrier()
  const { server } = carrier
  const room = presence(carrier.client, ROOM)
  await carrier.admit()
  await carrier.tell()
  await carrier.more()
  await carrier.tell({ type: "members", id: carrier.asked[0].id, channel: ROOM, tag: "t1", members: [ANN] })
  const says = () => server.posts.filter(({ ended, body }) => !ended && body.some(({ type }) => type === "say"))
  const first = assert.rejects(room.send("a"), { code: "unreachable" })
  const second = assert.rejects(room.send("b"), { code: "too-busy" })
  await settle()
  assert.deepEqual(says().map(({ body }) => body[2].name), ["a"], "one after the other")
  await says()[0].fail()
  await first
  await settle()
  await says()[0].answer(503, { type: "error", code: "too-busy", message: "x" })
  await second
  assert.equal(room.status, "live")
})

/** A room over long-poll that is live, with the poll that waits for news. */
async function polling(options) {
  const carrier = new PollCarrier(options)
  const room = presence(carrier.client, ROOM)
  await carrier.admit()
  await carrier.tell()
  await carrier.more()
  const [{ id }] = carrier.asked
  await carrier.tell({ type: "members", id, channel: ROOM, tag: "t1", members: [ANN] })
  await carrier.more()
  return { carrier, room, id }
}

for (const [name, make] of Object.entries({
  "a refusal": id => ({ type: "error", id, code: "forbidden", message: "no" }),
  "a leave": () => ({ type: "leave", channels: [ROOM], reason: "forbidden" }),
}))
  test(`over long-poll a room is not asked for again after ${name}`, async () => {
    const { carrier, room, id } = await polling()
    await carrier.tell(make(id))
    await carrier.more()
    assert.deepEqual([room.status, carrier.asked], ["refused", []])
  })

test("over long-poll a room that is closed while a token is awaited is not attended with it", async t => {
  t.mock.timers.enable({ apis: ["setTimeout"] })
  const tokens = ["t1"]
  let give
  const { carrier, room } = await polling({ token: () => tokens.pop() ?? new Promise(resolve => (give = resolve)) })
  await carrier.tell({ type: "needs_auth", reason: "token-expired" })
  assert.equal(room.status, "stale")
  room.close()
  t.mock.timers.tick(1_000)
  give("t2")
  await carrier.admit()
  assert.deepEqual([carrier.hello.token, carrier.asked], ["t2", []])
})

test("over long-poll the newest of more rooms than a poll has room for are refused, and the page stays live", async () => {
  const { carrier, room } = await polling()
  const { client } = carrier
  const rooms = [room, ...Array.from({ length: 16 }, (_, number) => presence(client, `rooms/${10 + number}`))]
  const tooMany = { type: "error", code: "too-many-messages", message: "100 at most" }
  for (const left of [14, 12]) {
    await carrier.more()
    await carrier.post.answer(400, tooMany)
    await carrier.more()
    assert.equal(carrier.asked.length, left)
  }
  await carrier.tell(...carrier.asked.filter(({ tag }) => !tag).map(({ id, channel }) => ({ type: "members", id, channel, tag: "t", members: [] })))
  assert.deepEqual(rooms.map(({ status }) => status), [...Array(12).fill("live"), ...Array(5).fill("refused")])
  assert.deepEqual([client.status, rooms.at(-1).error.code], ["live", "too-many-messages"])
})

test("over long-poll a body that has too many messages without any room is still the end", async () => {
  const carrier = new PollCarrier()
  carrier.client.open()
  await carrier.admit()
  await carrier.post.answer(400, { type: "error", code: "too-many-messages", message: "1 at most" })
  assert.deepEqual([carrier.client.status, carrier.client.reason.code], ["refused", "too-many-messages"])
})
