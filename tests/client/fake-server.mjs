/**
 * A server, a network and a clock in one object, for the tests of the client: nothing waits, nothing is random.
 *
 * `new FakeServer()` is what the client takes for its window. `connect()` makes a client of it, `accept()` opens the
 * socket that the client is dialing and admits it, `push()` sends a message, `drop()` closes the socket, `pass()` lets
 * time go by. `sent` is what the client has said on the newest socket. To extend it, add a verb of the server's.
 */

import { connect } from "../../sqla_realtime/client/realtime.js"

// The client does not wait for its sentences; a test of them would.
await import("../../sqla_realtime/client/trouble.js")

/** The id that every client makes up here: nothing is random. */
export const ID = "c-AAAAAAAAAAAAAAAAAAAAAA"

/** Lets everything that is ready happen: promises, microtasks, streams. */
export const settle = () => new Promise(resolve => setImmediate(resolve))

class FakeSocket {
  readyState = 0
  sent = []
  taken = 0
  closedBy = null

  constructor(url, protocol) {
    this.url = url
    this.protocol = protocol
  }

  send(text) {
    if (this.readyState === 0) throw new Error("InvalidStateError: still connecting")
    if (this.readyState === 1) this.sent.push(JSON.parse(text))
  }

  close() {
    this.readyState = 3
    this.closedBy ??= "client"
  }

  fire(type, fields) {
    this[`on${type}`]?.(Object.assign(new Event(type), fields))
  }
}

/** A POST of the client's: its body, and what becomes of it. `answer()` ends it, `push()` sends a message of a stream. */
class FakePost {
  ended = false
  #controller
  #resolve
  #reject

  constructor(url, { body, signal, ...options }) {
    const { pathname } = new URL(url)
    Object.assign(this, { url, name: pathname.split("/").at(-1), body: JSON.parse(body), options })
    this.answered = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    signal?.addEventListener("abort", () => {
      this.ended = this.aborted = true
      this.#reject(new DOMException("aborted", "AbortError"))
      this.#controller?.error(new DOMException("aborted", "AbortError"))
      this.#controller = null
    })
  }

  answer(status, body) {
    this.ended = true
    this.#resolve(new Response(body === undefined ? null : JSON.stringify(body), { status }))
    return settle()
  }

  fail() {
    this.ended = true
    this.#reject(new TypeError("Failed to fetch"))
    return settle()
  }

  /** Begins a stream, of which nothing has come yet. */
  stream() {
    const body = new ReadableStream({ start: controller => (this.#controller = controller) })
    this.#resolve(new Response(body, { status: 200, headers: { "Content-Type": "text/event-stream" } }))
    return settle()
  }

  /** Sends bytes of it. */
  write(text) {
    return this.bytes(new TextEncoder().encode(text))
  }

  bytes(bytes) {
    this.#controller?.enqueue(bytes)
    return settle()
  }

  push(message) {
    return this.write(`data: ${typeof message === "string" ? message : JSON.stringify(message)}\n\n`)
  }

  end() {
    this.ended = true
    this.#controller?.close()
    return settle()
  }
}

class FakeStorage {
  items = new Map()
  getItem = key => this.items.get(key) ?? null
  setItem = (key, value) => void this.items.set(key, value)
  removeItem = key => void this.items.delete(key)
}

export class FakeServer extends EventTarget {
  sockets = []
  fetched = []
  knocks = []
  posts = []
  random = 0.5
  time = 1_000_000
  location = new URL("https://app.example/page")
  document = { visibilityState: "visible" }
  Date = { now: () => this.time }
  Math = { random: () => this.random }
  crypto = { getRandomValues: bytes => bytes.fill(0) }
  btoa = btoa
  sessionStorage = new FakeStorage()
  #timers = new Map()
  #timer = 0

  constructor() {
    super()
    const server = this
    this.WebSocket = class extends FakeSocket {
      constructor(url, protocol) {
        super(url, protocol)
        server.sockets.push(this)
      }
    }
    /** What a plain GET is answered; a test replaces it. */
    this.answer = async () => {
      throw new TypeError("Failed to fetch")
    }
    /** What the page's own server answers a knock. */
    this.answerKnock = async () => new Response(null, { status: 204 })
    this.fetch = (url, options) => {
      if (options?.method === "POST") {
        this.posts.push(new FakePost(url, options))
        return this.posts.at(-1).answered
      }
      if (options) {
        this.knocks.push({ url, ...options })
        return this.answerKnock()
      }
      this.fetched.push(url)
      return this.answer(url)
    }
  }

  setTimeout(fn, ms) {
    this.#timers.set(++this.#timer, { fn, at: this.time + ms })
    return this.#timer
  }

  clearTimeout(id) {
    this.#timers.delete(id)
  }

  /** In how many milliseconds the timers fire, soonest first. */
  get waits() {
    return [...this.#timers.values()].map(timer => timer.at - this.time).sort((a, b) => a - b)
  }

  /** Lets `ms` go by and fires, in order, what is due. */
  pass(ms) {
    const end = this.time + ms
    for (;;) {
      const due = [...this.#timers].filter(([, timer]) => timer.at <= end).sort((a, b) => a[1].at - b[1].at)[0]
      if (!due) break
      this.#timers.delete(due[0])
      this.time = due[1].at
      due[1].fn()
    }
    this.time = end
  }

  /** Waits until a module that is loaded on demand has done something. */
  async loaded(hasHappened) {
    for (let turn = 0; !hasHappened(); turn++) {
      if (turn > 10_000) throw new Error(`Never happened: ${hasHappened}`)
      await settle()
    }
  }

  connect(options) {
    return connect({ url: "wss://server.example/realtime/ws", window: this, ...options })
  }

  get socket() {
    return this.sockets.at(-1)
  }

  get sent() {
    return this.socket.sent
  }

  /** What was sent since the last call, but hellos and pings. */
  take() {
    const { socket } = this
    const news = socket.sent.slice(socket.taken)
    socket.taken = socket.sent.length
    return news.filter(({ type }) => type !== "hello" && type !== "ping")
  }

  /** Opens the socket; the client says hello. */
  async open() {
    this.socket.readyState = 1
    this.socket.fire("open")
    await settle()
  }

  /** Opens the socket and admits the client. */
  async accept(ping = 25) {
    await this.open()
    this.push({ type: "hello", connection: this.sent.findLast(message => message.type === "hello").connection, ping })
    await settle()
  }

  push(message, socket = this.socket) {
    socket.fire("message", { data: typeof message === "string" ? message : JSON.stringify(message) })
  }

  /** Closes the socket from the server's side, or the network's. */
  drop(code = 1006, reason = "") {
    this.socket.readyState = 3
    this.socket.closedBy = "server"
    this.socket.fire("close", { code, reason })
  }

  /** Loses the connection and lets the client come back, admitted. */
  async blink() {
    this.drop()
    this.pass(500)
    await this.accept()
  }

  /** Answers the client's last subscribe with rows, given as `{channel: [record, ...]}`. */
  snapshot(position, rows, id = this.sent.findLast(message => message.type === "subscribe").id) {
    const channels = Object.entries(rows).map(([channel, records]) => ({ channel, rows: records.map(row) }))
    this.push({ type: "subscribed", id, position, channels })
  }

  event(type) {
    this.dispatchEvent(new Event(type))
  }
}

/** A row of a snapshot. */
export const row = record => ({ class: "Page", id: String(record.id), record })

/** A change of one row; `record` without more than the id is a destroy. */
export function change(type, channel, record) {
  const key = { type, class: "Page", id: String(record.id), channel }
  return type === "destroy" ? key : { ...key, record }
}

/** A client with one channel, live at position e.1 with two rows. */
export async function livePages(options) {
  const server = new FakeServer()
  const client = server.connect(options)
  const pages = client.collection("pages")
  await server.accept()
  server.snapshot("e.1", { pages: [{ id: 1, title: "First" }, { id: 2, title: "Second" }] })
  return { server, client, pages }
}
