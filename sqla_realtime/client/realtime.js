/** `connect()`, and what a client does with messages. */

import { batch } from "./batch.js"
import { makeChannel } from "./channel.js"
import { makeCollection, makeEmitter, report } from "./collection.js"
import { explain, makeConnection } from "./connection.js"
import { backoff } from "./machine.js"
import { isPast, split } from "./milestones.js"
import { openWebSocket } from "./websocket.js"

/**
 * @typedef {import("./types.js").Client} Client
 * @typedef {import("./types.js").TransportName} TransportName
 * @typedef {import("./channel.js").Channel} Channel
 */

/** @type {Record<string, import("./connection.js").Options["loaders"][string]>} */
const LOADERS = {
  websocket: () => openWebSocket,
  sse: async () => (await import("./sse.js")).open,
  poll: async () => (await import("./poll.js")).open,
}
const ALL = /** @type {TransportName[]} */ (Object.keys(LOADERS))

/** How long a channel that nobody shows any more is kept: a page that is drawn anew asks again at once. */
const LINGER = 1_000

/** @param {import("./types.js").ConnectOptions} [options] @returns {Client} */
export function connect({ url, token, own = "mark", transports = ALL, window = globalThis } = {}) {
  const { href } = new URL(url ?? "ws", url ? window.location?.href : import.meta.url)
  if (!transports.length || !transports.every(name => LOADERS[name])) throw new TypeError(`transports: ${ALL}`)

  /** @type {Map<string, Channel>} */
  const channels = new Map()
  /** @type {Set<import("./milestones.js").Milestone>} */
  const milestones = new Set()
  /** @type {string | null} */
  let position = null
  let number = 0
  /** Whether listeners wait until those have gone on that waited for a position. */
  let held = false
  const { on, emit } = makeEmitter(() => client.status)
  const connection = makeConnection(
    { url: href.replace(/^http/, "ws"), token, window, transports, loaders: LOADERS },
    { position: () => position, number: () => ++number, greet, asks, receive, turn },
  )

  /** @type {Client} */
  const client = {
    get status() {
      return connection.state.status
    },
    get reason() {
      return explain(connection.state)
    },
    get transport() {
      const { status, names, rank } = connection.state
      return status === "live" ? /** @type {TransportName} */ (names[rank]) : null
    },
    get position() {
      return position
    },
    connection: connection.id,
    headers: { "X-Realtime-Connection": connection.id },
    open: () => connection.step("open"),
    close: () => connection.step("close"),
    send: connection.send,
    on,
    reached: to =>
      new Promise((resolve, reject) => {
        if (!to) return resolve()
        if (!split(to)[0]) throw new TypeError(`${to} is no position`)
        milestones.add({ to, from: position, resolve, reject })
        tell()
      }),
    collection(name) {
      if (!/^[\w.~:/%-]{1,255}$/.test(name)) throw new TypeError(`${name} is no channel`)
      const channel = channels.get(name) ?? makeChannel(name)
      channels.set(name, channel)
      window.clearTimeout(channel.leaving)
      const retry = () => channel.status === "live" || want(channel)
      const collection = makeCollection(channel, retry, () => {
        if (!channel.users.size) channel.leaving = window.setTimeout(() => drop(channel), LINGER)
      })
      if (!channel.asked) queueMicrotask(flush) // one message for all that is asked for in one go
      connection.step("want")
      return collection
    },
  }
  return client

  /** @param {Channel} channel */
  function drop(channel) {
    const { name, asked } = channel
    channels.delete(name)
    part(channel)
    if (asked && client.status === "live") connection.send([{ type: "unsubscribe", id: ++number, channels: [name] }])
  }

  /** @param {Channel} channel @param {"stale" | "refused"} [status] @param {Channel["error"]} [error] @param {string | null} [at] */
  function part(channel, status = "stale", error, at) {
    window.clearTimeout(channel.timer)
    channel.turn(status, error)
    channel.asked = channel.timer = undefined
    channel.at = at
  }

  /** @param {Channel} channel */
  function want(channel) {
    part(channel)
    queueMicrotask(flush)
  }

  function flush() {
    if (client.status === "live") connection.send(asks())
    tell()
  }

  /** Whoever waits for a position goes first: what stood in for its rows is gone when the listeners see them. */
  function tell() {
    const behind = [...channels.values()].filter(({ status, error, users }) => status !== "live" && !error && users.size)
    for (const milestone of milestones) {
      if ([{ at: position }, ...behind].every(({ at }) => isPast(milestone, at))) milestone.resolve()
      else if (/refused|closed/.test(client.status)) milestone.reject(new Error(client.reason.message))
      else continue
      milestones.delete(milestone)
      held = true
    }
    if (held) queueMicrotask(emitAll)
    else emitAll()
  }

  function emitAll() {
    held = false
    for (const channel of channels.values()) channel.tell(own === "skip")
  }

  function greet() {
    for (const channel of channels.values()) if (channel.status !== "refused") channel.asked = undefined
  }

  function asks() {
    /** @type {[string, string | undefined][]} */
    const wanted = []
    for (const channel of channels.values()) {
      if (channel.status === "refused" && channel.token !== connection.used) part(channel)
      if (!channel.asked && !channel.timer && channel.status !== "refused" && channel.users.size)
        wanted.push([channel.name, channel.at ?? undefined])
    }
    const messages = batch(wanted, after => ({ type: "subscribe", id: ++number, channels: [], after }))
    for (const { id, channels: names } of messages)
      for (const name of names) /** @type {Channel} */ (channels.get(name)).asked = id
    return messages
  }

  function turn() {
    if (client.status !== "live")
      for (const channel of channels.values())
        if (channel.status !== "refused")
          // What was not live is at an older position.
          part(channel, "stale", null, channel.status === "live" ? position : channel.at)
    flush()
    emit("status")
  }

  /** First all data, then all listeners. @param {any} message */
  function receive(message) {
    if (held) emitAll()
    const { type } = message
    try {
      if (typeof message.commit === "string") apply(message, channel => channel.status === "live")
      else if (type === "subscribed") subscribed(message)
      else if (type === "ping") position = message.position ?? position
      else if (/^(reset|leave|error)$/.test(type)) for (const channel of channels.values()) end(channel, message)
    } catch (error) {
      position = null // half done: only a snapshot helps
      connection.step("failed")
      report(error)
    }
    tell()
    emit("message", message)
  }

  /** @param {any} commit @param {(channel: Channel) => boolean} isFor */
  function apply({ commit, changes, origin }, isFor) {
    for (const change of changes) {
      const channel = channels.get(change.channel)
      if (channel && isFor(channel)) channel.apply(change, commit, origin === connection.id)
    }
    position = commit
  }

  /** Without an id it is the server that has asked its rules again. @param {any} message */
  function subscribed(message) {
    const { id, commits = [] } = message
    const recovered = new Set()
    for (const item of message.channels) {
      const channel = channels.get(item.channel)
      if (!channel || (id === undefined ? channel.status !== "live" : channel.asked !== id)) continue
      if (item.recovered) recovered.add(channel)
      else channel.lay(item.rows, message.position)
      channel.turn("live")
      channel.failures = 0
    }
    for (const commit of commits) apply(commit, channel => recovered.has(channel))
    position = message.position
  }

  /** A reset, a leave or an error, if it is about this channel. @param {Channel} channel @param {any} message */
  function end(channel, message) {
    const { name, asked } = channel
    const { type, channels, code = message.reason, message: text = code, fix } = message
    const isAbout =
      type !== "error" ? channels.includes(name) : (message.channel ?? name) === name && (message.id ?? asked) === asked
    const error = { code, message: text, fix }
    if (!isAbout) return
    if (type === "reset") {
      if (asked) want(channel)
    } else if (code === "snapshot-failed") {
      part(channel, "stale", error)
      channel.timer = window.setTimeout(() => want(channel), backoff(channel.failures++, window.Math.random()))
    } else {
      part(channel, "refused", error)
      channel.token = connection.used
      if (type === "leave" || code === "forbidden") channel.empty(position)
    }
  }
}
