/** A connection that comes back: a table decides, a class acts. A knock has the page's server start this one. */

import { SUBPROTOCOL, isFinal } from "./codes.js"

const TEN = 10_000
const START = { state: "idle", status: "connecting", reason: null, connection: null, tries: 0 }
const be = (status, more) => ({ ...START, state: status, status, ...more })

/** Full jitter, lest all come back at once. */
export const backoff = (tries, random, floor) => random * Math.max(+floor || 0, Math.min(30_000, 500 * 2 ** tries))

// A decision is [next state, act, wait].

const dial = s => [{ ...(s.status === "offline" ? s : START), state: "dialing" }, "dial", TEN]

const refuse = (s, { code, message, fix }) => [be("refused", { reason: { code, message, fix } }), "hangup"]

const pause = ({ tries }) => [
  be("offline", { tries, reason: { code: "offline", message: "This device is offline." } }),
  "hangup",
]

function retry(s, { now, random, code = "unreachable", message = "The server cannot be reached." }) {
  const tries = now - s.since >= TEN ? 0 : s.tries
  const wait = backoff(tries, random, s.bye?.retry_after_ms)
  return [be("offline", { tries: tries + 1, reason: { code, message } }), "hangup", wait]
}

function lost(s, e) {
  const { code, reason } = s.bye ?? e
  const why = { code: reason || `closed-${code}`, message: `The connection was closed: ${reason || code}.` }
  return (isFinal(code) ? refuse : retry)(s, { ...e, ...why })
}

function admitted(s, { now, ping, connection }) {
  const limit = (ping > 0 ? ping : 25) * 1000 + TEN
  return [{ ...s, state: "live", status: "live", reason: null, since: now, heard: now, limit, connection }, null, limit]
}

const denied = (s, e) =>
  !s.renewed && /token/.test(e.code) ? [{ ...s, renewed: true }, "hello", TEN] : refuse(s, e)

function listen(s, e) {
  const wait = s.heard + s.limit - e.now
  return wait > 0 ? [s, null, wait] : retry(s, e)
}

const bye = (s, bye) => [{ ...s, bye }]
const active = { alarm: retry, offline: pause, failed: retry }

const RULES = {
  idle: { open: dial, want: dial },
  dialing: {
    ...active,
    opened: s => [{ ...s, state: "greeting" }, "hello", TEN],
    lost: s => [{ ...s, state: "probing" }, "diagnose", TEN],
  },
  probing: { ...active, "got error": refuse },
  greeting: { ...active, lost, "got hello": admitted, "got error": denied, "got bye": bye },
  live: { ...active, lost, alarm: listen, wake: listen, heard: (s, e) => [{ ...s, heard: e.now }], "got bye": bye },
  offline: { open: dial, alarm: dial, wake: dial, offline: pause },
  refused: { open: dial },
  closed: { open: dial },
}

export function decide(s, type, e) {
  if (type === "close") return [be("closed"), "leave"]
  return RULES[s.state][type]?.(s, e) ?? [s]
}

const EVENTS = ["online", "offline", "pageshow", "resume", "visibilitychange"]

export class Connection {
  state = START
  socket = null // what comes of an earlier one is ignored

  constructor(options) {
    Object.assign(this, options)
  }

  step(type, data) {
    const { state, window } = this
    const [next, act, wait] = decide(state, type, { ...data, now: window.Date.now(), random: window.Math.random() })
    this.state = next
    if (state.state === "dialing" && /lost|alarm/.test(type)) this.knock()
    if (act || wait >= 0) window.clearTimeout(this.alarm)
    if (wait >= 0) this.alarm = window.setTimeout(() => this.step("alarm"), Math.min(wait, 1e9))
    this[act]?.()
    if (state.status !== next.status || state.reason?.code !== next.reason?.code) this.owner._turn(next)
  }

  send(message) {
    this.socket?.send(JSON.stringify(message))
  }

  handleEvent({ type }) {
    if (type === "offline") this.step(type)
    else if (type === "online" || this.window.document?.visibilityState !== "hidden") this.step("wake")
  }

  dial() {
    const { window } = this
    for (const type of EVENTS) window.addEventListener?.(type, this)
    const socket = (this.socket = new window.WebSocket(this.url, SUBPROTOCOL))
    const on = (type, fn) => socket.addEventListener(type, e => socket === this.socket && fn(e))
    on("open", () => this.step("opened"))
    on("message", e => this.hear(e.data))
    on("close", ({ code, reason }) => this.step("lost", { code, reason }))
    // Some send no close event.
    on("error", () => socket.readyState === 3 && this.step("lost", { code: 1006 }))
  }

  async hello() {
    const { socket, token } = this
    try {
      const used = await (token?.call ? token() : token)
      if (socket === this.socket) this.send({ type: "hello", token: (this.used = used ?? undefined) })
    } catch (error) {
      if (socket === this.socket) this.step("failed", { code: "token-failed", message: String(error) })
    }
  }

  /** A browser hides why it was refused; a GET tells. */
  async diagnose() {
    const { socket, window, url } = this
    let body
    try {
      const answer = await window.fetch(url.replace("ws", "http"))
      if (/400|403/.test(answer.status)) body = await answer.json()
    } catch {}
    if (socket === this.socket) this.step(body?.type === "error" ? "got error" : "failed", body)
  }

  async knock() {
    const { window, url } = this
    try {
      const { origin, pathname } = new URL("realtime.js", url.replace("ws", "http"))
      const here = window.location.origin
      if (here !== origin) await window.fetch(here + pathname, { cache: "no-store", redirect: "manual" })
    } catch {}
  }

  hear(data) {
    this.step("heard")
    let message
    try {
      message = JSON.parse(data)
    } catch {}
    if (!message) return
    this.step(`got ${message.type}`, message)
    if (this.state.state === "live") this.owner._receive(message)
  }

  hangup() {
    this.socket?.close()
    this.socket = null
  }

  leave() {
    this.hangup()
    for (const type of EVENTS) this.window.removeEventListener?.(type, this)
  }
}
