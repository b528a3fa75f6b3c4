/** The public face: `connect()`, and what a client does with messages. */

import { Collection, Emitter, report } from "./collection.js"
import { Connection, backoff } from "./connection.js"

/**
 * @param {object} [options]
 * @param {string} [options.url] else the server of this module
 * @param {string | (() => string | Promise<string>)} [options.token] a function is asked at each attempt
 * @param {any} [options.window] instead of the global one
 */
export function connect({ url, token, window = globalThis } = {}) {
  const { href } = new URL(url ?? "ws", url ? window.location?.href : import.meta.url)
  return new Client(href.replace(/^http/, "ws"), token, window)
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
  #window

  constructor(url, token, window) {
    super()
    this.#window = window
    this.#connection = new Connection(url, token, window, next => this.#turn(next), message => this.#receive(message))
  }

  /** Now, also after a refusal. */
  open() {
    this.#connection.step("open")
  }

  close() {
    this.#connection.step("close")
  }

  /**
   * @template [T=any]
   * @param {string} name
   * @returns {Collection<T>} one for one name, until it is closed
   */
  collection(name) {
    let channel = this.#channels.get(name)
    if (!channel) {
      if (!/^[\w.~:/%-]{1,255}$/.test(name)) throw new TypeError(`${name} is no channel`)
      channel = new Collection(name, channel => channel._joined || this.#want(channel), channel => this.#leave(channel))
      this.#channels.set(name, channel)
      this.#want(channel)
      this.#connection.step("want")
    }
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

  /** Until the next subscribe nothing that arrives is for it. */
  #part(channel, status, error, _at = null) {
    this.#window.clearTimeout(channel._timer)
    channel._set(status, error)
    Object.assign(channel, { _joined: false, _id: null, _timer: null, _at })
  }

  #want(channel) {
    this.#part(channel, "stale")
    channel._tell()
    queueMicrotask(() => this.#flush()) // one message for all
  }

  #flush() {
    if (this.status !== "live") return
    const open = new Map()
    const messages = []
    for (const [name, channel] of this.#channels) {
      if (channel._id || channel._timer || channel.status === "refused") continue
      const after = channel._at ?? undefined
      let message = open.get(after)
      // The server takes 100 channels and 16 KiB.
      if (!message || message.channels.length === 100 || message.channels.join().length > 15_000) {
        messages.push((message = { type: "subscribe", id: ++this.#id, channels: [], after }))
        open.set(after, message)
      }
      message.channels.push(name)
      channel._id = message.id
    }
    for (const message of messages) this.#connection.send(message)
  }

  #turn({ status, reason, connection }) {
    const was = this.status
    Object.assign(this, { status, reason, connection })
    const channels = [...this.#channels.values()]
    const isRefused = channel => channel.status === "refused"
    if (status === "live") {
      for (const channel of channels) if (isRefused(channel) && channel._token !== this.#connection.used) this.#want(channel)
      this.#flush()
    }
    if (was === "live") {
      // A channel that had joined is where the client is; another is where it was.
      const lost = channels.filter(channel => !isRefused(channel))
      for (const channel of lost) this.#part(channel, "stale", null, channel._joined ? this.position : channel._at)
      for (const channel of lost) channel._tell()
    }
    this._emit("status")
  }

  #receive(message) {
    const { type, commit, position } = message
    try {
      if (typeof commit === "string") this.#commit([message], channel => channel._joined)
      else if (type === "subscribed") this.#subscribed(message)
      else if (type === "reset") this.#reset(message)
      else if (type === "error") this.#error(message)
      else if (type === "ping" && position) this.position = position
    } catch (error) {
      // Half done: only fresh rows can be trusted.
      for (const channel of this.#channels.values()) channel._joined = channel._at = null
      this.#connection.step("failed")
      report(error)
    }
  }

  /** First all data, then all listeners. */
  #commit(commits, isFor, touched = new Set(), position = commits[0].commit) {
    for (const { changes } of commits)
      for (const change of changes) {
        const channel = this.#channels.get(change.channel)
        if (!channel || !isFor(channel)) continue
        channel._apply(change)
        touched.add(channel)
      }
    this.position = position
    for (const channel of touched) channel._tell(position, commits.length === 1 ? commits[0].origin : undefined)
  }

  #subscribed({ id, position, channels, commits = [] }) {
    const answered = new Set()
    const recovered = new Set()
    for (const item of channels) {
      const channel = this.#channels.get(item.channel)
      if (!channel || channel._id !== id) continue
      if (item.recovered) recovered.add(channel)
      else channel._lay(item.rows)
      channel._set("live")
      channel._joined = true
      channel._tries = 0
      answered.add(channel)
    }
    this.#commit(commits, channel => recovered.has(channel), answered, position)
  }

  #reset({ channels }) {
    for (const name of channels) {
      const channel = this.#channels.get(name)
      if (channel && channel.status !== "refused") this.#want(channel)
    }
  }

  /** Without a channel it is about all that were asked for with that id. */
  #error({ id, channel: name, code, message, fix }) {
    for (const channel of this.#channels.values()) {
      if (name ? name !== channel.name || (id ?? channel._id) !== channel._id : id !== channel._id) continue
      const passing = code === "snapshot-failed"
      this.#part(channel, passing ? "stale" : "refused", { code, message, fix })
      channel._token = this.#connection.used
      const wait = backoff(channel._tries++, this.#window.Math.random())
      if (passing) channel._timer = this.#window.setTimeout(() => this.#want(channel), wait)
      channel._tell()
    }
  }
}
