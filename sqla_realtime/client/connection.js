/** A connection that comes back: a table decides, the class carries out. */

import { SUBPROTOCOL, isFinal } from "./codes.js"

const TEN = 10_000
const UNREACHABLE = { code: "unreachable", message: "The server cannot be reached; trying again." }
const START = { state: "idle", reason: null, connection: null, tries: 0, since: Infinity }
const STATUS = { live: "live", waiting: "offline", paused: "offline", refused: "refused", closed: "closed" }

/** Full jitter, lest all who lost one server come back as one. */
export const backoff = (tries, random, floor) => random * Math.max(+floor || 0, Math.min(30_000, 500 * 2 ** tries))

// A decision is [next state, what to do, when to wake up].

const dial = s => [{ ...s, state: "dialing", renewed: false, bye: null }, "dial", TEN]

const refuse = (s, { reason }) => [{ ...START, state: "refused", reason }, "hangup"]

const pause = s => [{ ...s, ...START, state: "paused", reason: { code: "offline", message: "This device is offline." } }, "hangup"]

function retry(s, { now, random, reason = UNREACHABLE }) {
  const tries = now - s.since >= TEN ? 0 : s.tries
  const wait = backoff(tries, random, s.bye?.retry_after_ms)
  return [{ ...START, state: "waiting", reason, tries: tries + 1 }, "hangup", wait]
}

function lost(s, e) {
  const { code, reason } = s.bye ?? e
  const message = reason || `The connection was closed (${code}).`
  return (isFinal(code) ? refuse : retry)(s, { ...e, reason: { code: `closed-${code}`, message } })
}

function admitted(s, { now, ping, connection }) {
  const limit = (ping > 0 ? ping : 25) * 1000 + TEN
  return [{ ...s, state: "live", reason: null, since: now, heard: now, limit, connection }, null, limit]
}

const denied = (s, e) =>
  !s.renewed && /^(bad-token|token-expired)$/.test(e.reason.code) ? [{ ...s, renewed: true }, "hello", TEN] : refuse(s, e)

function listen(s, e) {
  const left = s.heard + s.limit - e.now
  return left > 0 ? [s, null, left] : retry(s, e)
}

const bye = (s, bye) => [{ ...s, bye }]
const active = { alarm: retry, offline: pause, failed: retry }
const resting = { alarm: dial, wake: dial, open: dial }

const RULES = {
  idle: { want: dial, open: dial },
  dialing: {
    ...active,
    opened: s => [{ ...s, state: "greeting" }, "hello", TEN],
    lost: s => [{ ...s, state: "probing" }, "diagnose", TEN],
  },
  probing: { ...active, denied: refuse },
  greeting: { ...active, admitted, denied, bye, lost },
  live: { ...active, bye, lost, alarm: listen, wake: listen, heard: (s, e) => [{ ...s, heard: e.now }] },
  waiting: { ...resting, offline: pause },
  paused: resting,
  refused: { open: dial },
  closed: { open: dial },
}

export function decide(s, type, e) {
  if (type === "close") return [{ ...START, state: "closed", status: "closed" }, "leave"]
  const [next, ...then] = RULES[s.state][type]?.(s, e) ?? [s]
  const status = STATUS[next.state] ?? (s.status === "offline" ? "offline" : "connecting")
  return [{ ...next, status }, ...then]
}

const EVENTS = ["online", "offline", "pageshow", "resume", "visibilitychange"]

export class Connection {
  state = { ...START, status: "connecting" }
  socket = null // whose turn it is: what comes of an earlier one is ignored

  constructor(url, token, window, turn, receive) {
    Object.assign(this, { url, token, window, turn, receive })
  }

  step(type, data) {
    const { state, window } = this
    const [next, act, wait] = decide(state, type, { ...data, now: window.Date.now(), random: window.Math.random() })
    this.state = next
    if (act || wait) window.clearTimeout(this.alarm)
    if (wait) this.alarm = window.setTimeout(() => this.step("alarm"), Math.min(wait, 1e9))
    this[act]?.()
    if (state.status !== next.status || state.reason !== next.reason) this.turn(next)
  }

  send(message) {
    this.socket?.send(JSON.stringify(message))
  }

  handleEvent({ type }) {
    if (type === "offline") this.step(type)
    else if (this.window.document?.visibilityState !== "hidden") this.step("wake")
  }

  dial() {
    const { window } = this
    for (const type of EVENTS) window.addEventListener?.(type, this)
    const socket = (this.socket = new window.WebSocket(this.url, SUBPROTOCOL))
    const on = (type, fn) => socket.addEventListener(type, e => socket === this.socket && fn(e))
    on("open", () => this.step("opened"))
    on("message", e => this.hear(e.data))
    on("close", ({ code, reason }) => this.step("lost", { code, reason }))
    // Some send no close event after it.
    on("error", () => socket.readyState === 3 && this.step("lost", { code: 1006 }))
  }

  async hello() {
    const { socket, token } = this
    let reason
    try {
      this.used = typeof token === "function" ? await token() : token
    } catch (error) {
      reason = { code: "token-failed", message: String(error) }
    }
    if (socket !== this.socket) return
    if (reason) this.step("failed", { reason })
    else this.send({ type: "hello", token: this.used ?? undefined })
  }

  /** A browser hides why it was refused; a GET of the same URL tells. */
  async diagnose() {
    const { socket, window, url } = this
    let reason
    try {
      const answer = await window.fetch(url.replace("ws", "http"), { cache: "no-store" })
      const body = /400|403/.test(answer.status) && (await answer.json())
      if (body.type === "error") reason = body
    } catch {}
    if (socket === this.socket) this.step(reason ? "denied" : "failed", { reason })
  }

  hear(data) {
    let message
    try {
      message = JSON.parse(data)
    } catch {}
    if (!message) return
    const { type } = message
    this.step("heard")
    if (type === "hello") this.step("admitted", message)
    else if (type === "bye") this.step("bye", message)
    else if (this.state.state === "live") this.receive(message)
    else if (type === "error") this.step("denied", { reason: message })
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
