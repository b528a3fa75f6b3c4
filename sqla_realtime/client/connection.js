/** A connection that comes back: the machine's table decides, this acts. */

import { report } from "./collection.js"
import { TABLE, decide, start } from "./machine.js"

/**
 * @typedef {import("./websocket.js").Transport} Transport
 * @typedef {(line: import("./websocket.js").Line) => Transport} OpenTransport
 * @typedef {string | null | undefined} Token
 *
 * @typedef {object} Options
 * @property {string} url
 * @property {Token | (() => Token | Promise<Token>)} [token]
 * @property {any} window
 * @property {readonly string[]} transports the best one first
 * @property {Record<string, () => OpenTransport | Promise<OpenTransport>>} loaders by name
 *
 * What a connection does not know itself.
 * @typedef {object} Owner
 * @property {() => string | null} position
 * @property {() => number} number for a message, never the same
 * @property {() => void} greet a conversation begins anew
 * @property {() => any[]} asks the subscribes for what is not live
 * @property {(message: any) => void} receive
 * @property {() => void} turn the status or its reason has changed
 */

const EVENTS = ["online", "offline", "pageshow", "pagehide", "freeze", "resume", "visibilitychange"]

/** For people, and for bad days: nothing waits for it, and what was not to be had is asked for again. @type {typeof import("./trouble.js") | undefined} */
let trouble
const load = async () => (trouble = await import("./trouble.js"))
load().catch(report)

/** @param {import("./machine.js").State} state */
export const explain = state => trouble?.explain(state) ?? state.reason

/** A secret of this client, by which its writes are known as its own. @param {any} window */
function makeId({ crypto, btoa }) {
  const bytes = crypto.getRandomValues(new Uint8Array(18))
  return "c-" + btoa(String.fromCharCode(...bytes)).slice(2).replace(/\W/g, "-")
}

/** @param {Options} options @param {Owner} owner */
export function makeConnection({ window, url, token, transports, loaders }, owner) {
  /** An attempt; what comes of it after its end is ignored. @type {{transport?: Transport, pinged?: boolean}} */
  let line = {}
  /** The token that it said hello with, or renewed. @type {string | undefined} */
  let used
  /** The id of the last renew. @type {number | undefined} */
  let renewal
  /** @type {any} */
  let alarm
  const id = makeId(window)
  /** @type {number | undefined} */
  let remembered
  let state = start(transports, (remembered = recall()))
  let told = state

  /** @type {Record<string, () => void>} */
  const acts = { dial, diagnose, ask, hello, admit, beat, hangup, leave }

  /** @param {string} event @param {any} [data] */
  function step(event, data) {
    const [next, act, wait] = decide(state, event, { ...data, now: window.Date.now(), random: window.Math.random() })
    state = next
    if (act || wait >= 0) window.clearTimeout(alarm)
    if (wait >= 0) alarm = window.setTimeout(() => step("alarm"), Math.min(wait, 1e9))
    if (act) acts[act]()
    // The act may have led further, and told.
    const { status, reason } = told
    told = state
    if (state.status !== status || state.reason.code !== reason.code) owner.turn()
  }

  /** @param {any[]} messages */
  function send(messages) {
    line.transport?.send(messages)
  }

  /** @param {{type: string}} event */
  function onPage({ type }) {
    if (type in TABLE) step(type)
    else if (window.document?.visibilityState !== "hidden") step("wake")
  }

  /** Some of them do not bubble, hence capture. @param {"add" | "remove"} verb */
  function listen(verb) {
    for (const type of EVENTS) window[`${verb}EventListener`]?.(type, onPage, true)
  }

  async function dial() {
    hangup()
    listen("add")
    const mine = line
    /** @type {(event: string) => (data?: any) => void} */
    const on = event => data => {
      if (mine === line) step(event, data)
    }
    try {
      const loading = loaders[transports[state.rank]]()
      const open = typeof loading === "function" ? loading : await loading
      if (mine !== line) return
      const message = (/** @type {any} */ message) => mine === line && hear(message)
      line.transport = open({ url, window, opened: on("opened"), lost: on("lost"), message })
    } catch {
      on("failed")()
    }
  }

  async function ask() {
    const mine = line
    let why
    try {
      used = (await (typeof token === "function" ? token() : token)) ?? undefined
    } catch (error) {
      why = { code: "token-failed", message: String(error) }
    }
    if (mine === line) step(why ? "failed" : "asked", { ...line.transport, why })
  }

  /** Or, where there was one, a renewal; unless everything begins anew with a hello. */
  function hello() {
    const eager = line.transport?.eager
    owner.greet()
    if (!state.since || eager) send([{ type: "hello", token: used, connection: id }, ...(eager ? owner.asks() : [])])
    else if (used) send([{ type: "renew", id: (renewal = owner.number()), token: used }])
    else step("lost", { reason: "token-expired" }) // a new connection may do without one
  }

  /** What is only of use where WebSockets do not get through is not loaded elsewhere. */
  function admit() {
    if (state.rank || remembered)
      import("./fallback.js").then(({ settle }) => settle({ window, url, loaders }, () => state, step), report)
    remembered = state.rank
  }

  /** Not before the pong of the last one: what is still to come before that is not in the position yet. */
  function beat() {
    if (!line.pinged) send([{ type: "ping", position: owner.position() ?? undefined }])
    line.pinged = true
  }

  async function diagnose() {
    const mine = line
    line.transport?.close()
    let event = "failed"
    let body
    try {
      ;[event, body] = await (await load()).diagnose(window, url)
    } catch {}
    if (mine === line) step(event, body)
  }

  /** @param {any} message */
  function hear(message) {
    step("heard")
    const { type, id: about, channel } = message ?? {}
    const event = `got ${type}`
    if (type === "pong") line.pinged = false
    // An error that names what it is about is none of the connection's.
    if (event in TABLE && (type !== "error" || (!channel && about === (about && renewal))))
      step(event, message)
    else if (message && state.state === "live") owner.receive(message)
  }

  function hangup() {
    const { transport } = line
    line = {}
    transport?.close()
  }

  function leave() {
    hangup()
    listen("remove")
  }

  /** In this tab an earlier page has found out what works. @returns {number | undefined} */
  function recall() {
    try {
      const [rank, until] = JSON.parse(window.sessionStorage.getItem(url))
      if (transports[rank] && window.Date.now() < until) return rank
    } catch {}
  }

  return {
    id,
    step,
    send,
    get state() {
      return state
    },
    get used() {
      return used
    },
  }
}
