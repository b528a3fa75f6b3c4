/** `connect()`, and what a client does with messages. */

import { Collection, Emitter, report } from "./collection.js"
import { Connection, backoff } from "./connection.js"

/**
 * Without `url` to the server of this module; a `token` function is asked at each attempt.
 * @param {{url?: string, token?: string | (() => string | Promise<string>), window?: any}} [options]
 */
export function connect({ url, token, window = globalThis } = {}) {
  const { href } = new URL(url ?? "ws", url ? window.location?.href : import.meta.url)
  return new Client({ url: href.replace(/^http/, "ws"), token, window })
}

class Client extends Emitter {
  /** @type {"connecting" | "live" | "offline" | "refused" | "closed"} */
  status = "connecting"
  /** @type {{code: string, message: string, fix?: string} | null} */
  reason = null
  /** @type {string | null} */
  connection = null
  /** @type {string | null} */
  position = null
  #channels = new Map()
  #connection
  #id = 0

  constructor(options) {
    super()
    this.#connection = new Connection({ ...options, owner: this })
  }

  /** Connects now, also after a refusal. */
  open() {
    this.#connection.step("open")
  }

  close() {
    this.#connection.step("close")
  }

  /**
   * @template [T=any]
   * @param {string} name
   * @returns {Collection<T>} the same until all closed it
   */
  collection(name) {
    let channel = this.#channels.get(name)
    if (!channel) {
      if (!/^[\w.~:/%-]{1,255}$/.test(name)) throw new TypeError(`${name} is no channel`)
      channel = new Collection()
      channel.name = name
      channel.retry = () => channel.status === "live" || this.#want(channel)
      channel.close = () => --channel._users || this.#leave(channel)
      this.#channels.set(name, channel)
      this.#want(channel)
      this.#connection.step("want")
    }
    channel._users++
    return channel
  }

  #leave(channel) {
    const { name } = channel
    channel._listeners.clear()
    if (this.#channels.get(name) !== channel) return
    this.#channels.delete(name)
    this.#part(channel, "stale")
    if (this.status === "live") this.#connection.send({ type: "unsubscribe", id: ++this.#id, channels: [name] })
  }

  #part(channel, status, error, at) {
    this.#connection.window.clearTimeout(channel._timer)
    channel._set(status, error)
    channel._id = channel._timer = null
    channel._at = at
  }

  #want(channel) {
    this.#part(channel, "stale")
    queueMicrotask(() => this.#flush()) // one message for all
  }

  #tell(commit, origin) {
    for (const channel of this.#channels.values()) channel._tell(commit, origin)
  }

  #flush() {
    this.#tell()
    if (this.status !== "live") return
    const open = new Map()
    for (const [name, channel] of this.#channels) {
      if (channel._id || channel._timer || channel.status === "refused") continue
      const after = channel._at ?? undefined
      const message = open.get(after) ?? { type: "subscribe", id: ++this.#id, channels: [], after }
      open.set(after, message)
      channel._id = message.id
      // Limits: 100 channels, 16 KiB.
      if (message.channels.push(name) < 100 && message.channels.join().length < 15_000) continue
      this.#connection.send(message)
      open.delete(after)
    }
    for (const message of open.values()) this.#connection.send(message)
  }

  _turn({ status, reason, connection }) {
    Object.assign(this, { status, reason, connection })
    for (const channel of this.#channels.values()) {
      if (channel.status === "refused") {
        if (status === "live" && channel._token !== this.#connection.used) this.#part(channel, "stale")
      }
      // What was not live is at an older position.
      else this.#part(channel, "stale", null, channel.status === "live" ? this.position : channel._at)
    }
    this.#flush()
    this._emit("status")
  }

  /** First all data, then all listeners. */
  _receive(message) {
    const { type, commit, position, origin } = message
    try {
      if (typeof commit === "string") this.#apply(message, channel => channel.status === "live")
      else if (type === "subscribed") this.#subscribed(message)
      else if (type === "reset") this.#reset(message)
      else if (type === "error" && (message.id || message.channel)) this.#error(message)
      else if (type === "ping" && position) this.position = position
    } catch (error) {
      this.position = null // half done: only a snapshot helps
      this.#connection.step("failed")
      report(error)
    }
    this.#tell(this.position, origin)
  }

  #apply({ commit, changes }, isFor) {
    for (const change of changes) {
      const channel = this.#channels.get(change.channel)
      if (channel && isFor(channel)) channel._apply(change)
    }
    this.position = commit
  }

  #subscribed({ id, position, channels, commits = [] }) {
    const recovered = new Set()
    for (const item of channels) {
      const channel = this.#channels.get(item.channel)
      if (!channel || channel._id !== id) continue
      if (item.recovered) recovered.add(channel)
      else channel._lay(item.rows)
      channel._set("live")
      channel._tries = 0
    }
    for (const commit of commits) this.#apply(commit, channel => recovered.has(channel))
    this.position = position
  }

  #reset({ channels }) {
    for (const name of channels) {
      const channel = this.#channels.get(name)
      if (channel?._id) this.#want(channel)
    }
  }

  #error({ id, channel: name, code, message, fix }) {
    for (const channel of this.#channels.values()) {
      if ((name ?? channel.name) !== channel.name || (id ?? channel._id) !== channel._id) continue
      const passing = code === "snapshot-failed"
      this.#part(channel, passing ? "stale" : "refused", { code, message, fix })
      channel._token = this.#connection.used
      if (!passing) continue
      const wait = backoff(channel._tries++, this.#connection.window.Math.random())
      channel._timer = this.#connection.window.setTimeout(() => this.#want(channel), wait)
    }
  }
}
