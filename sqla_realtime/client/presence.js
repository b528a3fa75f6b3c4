/** Who is in a channel besides its rows, and what they say to each other. Loaded by pages that import it, and by no others. */

import { makeEmitter } from "./collection.js"

/**
 * Another user, or the page's own: `id` is the user's, `info` what the application shows of it.
 * @template [I=any]
 * @typedef {Readonly<{id: string, info: I}>} Member
 */

/**
 * @template [I=any]
 * @typedef {object} RoomEvents
 * @property {readonly Member<I>[]} members now, and at each change
 * @property {import("./channel.js").ChannelStatus} status now, and at each change
 * @property {Member<I>} join one more is there; not told of those who came while the connection was lost
 * @property {Member<I>} leave
 */

/** @typedef {Readonly<{name: string, data: any, from: string}>} Said `from` is the id of the member who has said it */

/**
 * @template I
 * @typedef {{
 *   <E extends keyof RoomEvents<I>>(event: E, fn: (value: RoomEvents<I>[E]) => void): () => void
 *   (event: `event:${string}`, fn: (said: Said) => void): () => void
 * }} On
 */

/**
 * @template [I=any]
 * @typedef {object} RoomFields
 * @property {string} name the channel's
 * @property {readonly Member<I>[]} members the same array until it changes
 * @property {string | null} me the id of the page's own user, null where it is no member
 * @property {import("./channel.js").ChannelStatus} status
 * @property {import("./channel.js").Reason | null} error why it is refused
 * @property {On<I>} on "event:typing" is told what others say under that name; the result ends it
 * @property {(name: string, data?: unknown) => Promise<void>} send says something to the others; rejects with the server's `code`
 * @property {() => void} retry asks again after a refusal
 * @property {() => void} close its listeners are told nothing more; a second after its last user has closed the room is left
 */

/** @template [I=any] @typedef {Readonly<RoomFields<I>>} Room */

/**
 * @typedef {import("./types.js").Client} Client
 * @typedef {ReturnType<typeof makeRoom>} Shared
 * @typedef {{rooms: Map<string, Shared>, sent: Map<number, {resolve: () => void, reject: (error: Error) => void}>}} House
 */

/** A room that nobody shows any more is kept so long: a page that is drawn anew comes back at once. */
const LINGER = 1_000
/** Ids of this module begin here: those of the client are small, those of the long-poll larger. */
let number = 2 ** 51
/** @type {WeakMap<Client, House>} */
const houses = new WeakMap()

/** @param {{code: string, message?: string, fix?: string}} reason */
const failure = ({ code, message = code, fix }) => Object.assign(new Error(message), { code, fix })
const LOST = { code: "not-live", message: "The connection was lost. It is not known whether the others were told." }
const CLOSED = { code: "not-live", message: "This page is not in the room now." }

/** @param {string} name */
const makeRoom = name => ({
  name,
  /** @type {readonly Member[]} */
  members: [],
  /** @type {string | null} */
  me: null,
  /** @type {import("./channel.js").ChannelStatus} */
  status: "loading",
  /** @type {import("./channel.js").Reason | null} */
  error: null,
  /** @type {Set<(event: string, value?: unknown) => void>} */
  users: new Set(),
  /** The id of the newest attend. @type {number | undefined} */
  asked: undefined,
  /** What stands for the members that are known. @type {string | undefined} */
  tag: undefined,
  /** @type {any} */
  leaving: undefined,
})

/** @param {Shared} room @param {string} event @param {unknown} [value] */
const tell = (room, event, value) => [...room.users].forEach(emit => emit(event, value))

/** @param {Shared} room @param {Shared["status"]} status @param {Shared["error"]} [error] */
function turn(room, status, error = null) {
  if (room.status === status && room.error === error) return
  Object.assign(room, { status, error })
  tell(room, "status")
}

/** @param {Shared} room @param {readonly Member[]} members */
function show(room, members) {
  room.members = members
  tell(room, "members")
}

/** @param {Client} client @returns {House} */
function houseOf(client) {
  /** @type {House} */
  const house = { rooms: new Map(), sent: new Map() }
  houses.set(client, house)
  client.on("message", message => hear(house, message))
  client.on("status", status => {
    for (const { reject } of house.sent.values()) reject(failure(LOST))
    house.sent.clear()
    for (const room of house.rooms.values()) {
      if (status === "live" && room.status !== "refused") attend(client, room)
      else if (room.status === "live") turn(room, "stale")
    }
  })
  return house
}

/** @param {Client} client @param {Shared} room */
function attend(client, room) {
  room.asked = ++number
  client.send([{ type: "attend", id: number, channel: room.name, tag: room.tag }])
}

/** @param {House} house @param {any} message */
function hear({ rooms, sent }, message) {
  const { type, id, channel, member, tag, name, data, from, channels } = message
  const room = rooms.get(channel)
  const promise = sent.get(id)
  sent.delete(id)
  if (type === "taken") promise?.resolve()
  else if (type === "error") {
    promise?.reject(failure(message))
    // One whose token has ended attends again with another.
    if (message.code !== "needs-auth") for (const each of rooms.values()) if (each.asked === id) refuse(each, message)
  } else if (type === "leave") {
    for (const each of rooms.values()) if (channels.includes(each.name)) refuse(each, { code: message.reason })
  } else if (type === "members" && room && (id ?? room.asked) === room.asked) {
    Object.assign(room, { tag, me: message.you ?? null })
    if (message.members) show(room, message.members)
    turn(room, "live")
  } else if (/^(joined|left|event)$/.test(type) && room?.status === "live") {
    if (type === "event") return tell(room, "event:" + name, { name, data, from })
    room.tag = tag
    const old = room.members.find(one => one.id === (member.id ?? member))
    const others = room.members.filter(one => one !== old)
    show(room, member.id ? [...others, member] : others)
    if (member.id) tell(room, "join", member)
    else if (old) tell(room, "leave", old)
  }
}

/** Nobody may be shown any more. @param {Shared} room @param {{code: string, message?: string, fix?: string}} why */
function refuse(room, { code, message = code, fix }) {
  Object.assign(room, { asked: undefined, tag: undefined, me: null })
  if (room.members.length) show(room, [])
  turn(room, "refused", { code, message, fix })
}

/**
 * The page is with the others in a channel, as long as it has not closed what this returns.
 * @template [I=any]
 * @param {Client} client
 * @param {string} name the channel's
 * @returns {Room<I>}
 */
export function presence(client, name) {
  const house = houses.get(client) ?? houseOf(client)
  const { rooms, sent } = house
  const room = rooms.get(name) ?? makeRoom(name)
  const { on, emit, listeners } = makeEmitter(event => /** @type {any} */ (room)[event])
  /** Where it is not live it attends when it is. */
  function begin() {
    if (client.status === "live") attend(client, room)
    else if (client.reason.code === "idle") client.open()
  }
  const isNew = !rooms.has(name)
  rooms.set(name, room)
  room.users.add(emit)
  clearTimeout(room.leaving)
  if (isNew) begin()

  return {
    name,
    get members() {
      return room.members
    },
    get me() {
      return room.me
    },
    get status() {
      return room.status
    },
    get error() {
      return room.error
    },
    on,
    send: (event, data) =>
      new Promise((resolve, reject) => {
        if (room.status !== "live") return reject(failure(CLOSED))
        sent.set(++number, { resolve, reject })
        client.send([{ type: "say", id: number, channel: name, name: event, data }])
      }),
    retry() {
      if (room.status !== "refused") return
      turn(room, "loading")
      begin()
    },
    close() {
      listeners.clear()
      if (!room.users.delete(emit) || room.users.size) return
      room.leaving = setTimeout(() => {
        rooms.delete(name)
        if (client.status === "live") client.send([{ type: "depart", id: ++number, channel: name }])
      }, LINGER)
    },
  }
}
