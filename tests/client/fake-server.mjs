/**
 * A server, a network and a clock in one object, for the tests of the client: nothing waits, nothing is random.
 *
 * `new FakeServer()` is what the client takes for its window. `connect()` makes a client of it, `accept()` opens the
 * socket that the client is dialing and admits it, `push()` sends a message, `drop()` closes the socket, `pass()` lets
 * time go by. `sent` is what the client has said on the newest socket. To extend it, add a verb of the server's.
 */

import { connect } from "../../sqla_realtime/client/realtime.js"

/** Lets everything that is ready happen: promises, microtasks, streams. */
export const settle = () => new Promise(resolve => setImmediate(resolve))

class FakeSocket extends EventTarget {
  readyState = 0
  sent = []
  taken = 0
  closedBy = null

  constructor(url, protocol) {
    super()
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
    this.dispatchEvent(Object.assign(new Event(type), fields))
  }
}

export class FakeServer extends EventTarget {
  sockets = []
  fetched = []
  knocks = []
  random = 0.5
  time = 1_000_000
  connections = 0
  location = new URL("https://app.example/page")
  document = { visibilityState: "visible" }
  Date = { now: () => this.time }
  Math = { random: () => this.random }
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

  connect(options) {
    return connect({ url: "wss://server.example/realtime/ws", window: this, ...options })
  }

  get socket() {
    return this.sockets.at(-1)
  }

  get sent() {
    return this.socket.sent
  }

  /** What was sent since the last call, without `hello`. */
  take() {
    const { socket } = this
    const news = socket.sent.slice(socket.taken)
    socket.taken = socket.sent.length
    return news.filter(message => message.type !== "hello")
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
    this.push({ type: "hello", connection: `c-${++this.connections}`, ping })
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
