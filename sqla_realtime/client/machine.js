/** How a client comes, comes back and falls back: a table of events and states decides, and touches nothing. */

import { isFinal } from "./codes.js"

/**
 * @typedef {{code: string, message: string, fix?: string}} Reason
 * @typedef {"connecting" | "live" | "offline" | "refused" | "closed"} Status
 * @typedef {object} State
 * @property {string} state a column of the table
 * @property {Status} status what people are told
 * @property {Reason} reason and why
 * @property {readonly string[]} names of the transports, the best one first
 * @property {number} rank the index of the one in use
 * @property {number} tries attempts since it was last live
 * @property {boolean} [doubted] whether this transport must not fail once more
 * @property {boolean} [renewed] whether a refused token was replaced once
 * @property {any} [bye] the server's last word
 * @property {any} [since] when it went live
 * @property {any} [heard] when the server was last heard
 * @property {any} [ping] the longest silence that it promises, in milliseconds
 * @property {any} [beat] when the next ping is due
 * @typedef {{now: number, random: number, [field: string]: any}} Data
 * @typedef {[next: State, act?: string | null, wait?: any]} Decision `act` is the connection's, `wait` ends in an "alarm"
 * @typedef {(state: State, data: Data) => Decision} Rule
 */

const TEN = 10_000

/** `explain()` of words.js has the sentences. @param {string} code @param {string} [message] @param {string} [fix] @returns {Reason} */
const why = (code, message = code, fix) => ({ code, message, fix })

/** Full jitter, lest all come back at once, after what the server has chosen. @param {number} tries @param {number} random @param {any} [floor] @returns {number} */
export const backoff = (tries, random, floor) => (floor > 0 ? floor : 0) + random * Math.min(30_000, 500 * 2 ** tries)

/** @param {readonly string[]} names @param {number} [rank] @returns {State} */
export const start = (names, rank = 0) => ({ state: "idle", status: "connecting", reason: why("idle"), names, rank, tries: 0 })

/** Forgets all but the transport. @param {State} s @param {string} state @param {Status} status @param {Reason} reason @param {number} [tries] @returns {State} */
const be = (s, state, status, reason, tries = 0) => ({ names: s.names, rank: s.rank, state, status, reason, tries })

/** @type {Rule} */
const ignore = s => [s]

/** What was offline stays it for people until it is live. @param {State} s @param {any} [e] @param {Partial<State>} [more] @returns {Decision} */
function dial(s, e, more) {
  const { status, reason, tries } = s.status === "offline" ? s : be(s, "", "connecting", why("connecting"))
  return [{ ...be(s, "dialing", status, reason, tries), ...more }, "dial", TEN]
}
/** A better one, or the best. @type {Rule} */
const better = (s, e) => dial(s, e, { rank: e.rank ?? 0 })

/** @param {State} s @param {Data} e @param {Reason} [reason] @returns {Decision} */
function retry(s, e, reason = e.why ?? why("unreachable")) {
  const tries = e.now - s.since >= TEN ? 0 : s.tries
  return [be(s, "waiting", "offline", reason, tries + 1), "hangup", backoff(tries, e.random, s.bye?.retry_after_ms)]
}

/** @param {State} s @param {any} error @returns {Decision} */
const refuse = (s, { code, message, fix }) => [be(s, "refused", "refused", why(code, message, fix)), "hangup"]

/** This transport does not get through. @type {Rule} */
const next = (s, e) => (s.names[s.rank + 1] ? dial(s, e, { rank: s.rank + 1 }) : retry({ ...s, rank: 0 }, e))

/** A server that is just starting looks like a WebSocket that does not get through, so that has a second try. @type {Rule} */
const doubt = (s, e) => (s.rank || s.doubted ? next(s, e) : dial(s, e, { doubted: true }))

/** @type {Rule} */
function lost(s, e) {
  const { code, reason, message } = s.bye ?? e
  const named = why(reason || `closed-${code}`, message)
  return isFinal(code) ? refuse(s, named) : retry(s, e, named)
}
/** Without a word of the server's it was cut by somebody else. @type {Rule} */
const cut = (s, e) => (s.bye || e.code !== 1006 ? lost : doubt)(s, e)

/** @param {string} state @param {string} act @param {Partial<State>} [more] @returns {Rule} */
const go = (state, act, more) => (s, e) => [{ ...s, ...more, state }, act, e.patience ?? TEN]
const probe = go("probing", "diagnose")
/** One that takes too long has no second try. */
const tooSlow = go("probing", "diagnose", { doubted: true })
const ask = go("asking", "ask")
const greet = go("greeting", "hello")
/** @type {Rule} */
const expired = (s, e) => ask({ ...s, status: "connecting", reason: why("needs-auth") }, e)
/** @type {Rule} */
const slow = (s, e) => retry(s, e, why("token-slow"))
/** A token may be refused once; any other error that answers a hello is final. @type {Rule} */
const denied = (s, e) => (!s.renewed && /token/.test(e.code) ? ask({ ...s, renewed: true }, e) : refuse(s, e))

/** @param {State} s */
const deadline = s => s.heard + s.ping + TEN
/** @param {State} s @param {Data} e @param {string | null} act @returns {Decision} */
const until = (s, e, act) => [s, act, Math.max(0, Math.min(deadline(s), s.beat) - e.now)]

/** @type {Rule} */
function admitted(s, e) {
  const { now } = e
  const ping = e.ping > 0 ? e.ping * 1000 : s.ping ?? 25_000
  const times = { since: now, heard: now, ping, beat: now + ping }
  return until({ ...s, ...times, state: "live", status: "live", reason: why("live"), renewed: false }, e, "admit")
}

/** @type {Rule} */
const look = (s, e) => (e.now < deadline(s) ? [s] : retry(s, e))

/** @type {Rule} */
function listen(s, e) {
  const late = e.now - deadline(s)
  // A proxy has begun to buffer; but after a sleep of the machine silence says nothing.
  if (late >= 0) return (s.names[s.rank] === "sse" && late < TEN ? next : retry)(s, e)
  return e.now < s.beat ? until(s, e, null) : until({ ...s, beat: e.now + s.ping }, e, "beat")
}

/** @type {Rule} */
const heard = (s, e) => [{ ...s, heard: e.now }]
/** @type {Rule} */
const bye = (s, e) => [{ ...s, bye: e }]
/** Until something wakes it. @param {string} code @returns {Rule} */
const pause = code => s => [be(s, "waiting", "offline", why(code), s.tries), "hangup"]
const offline = pause("offline")
const freeze = pause("frozen")
/** @type {Rule} */
const close = s => [be(s, "closed", "closed", why("closed")), "leave"]

export const STATES = ["idle", "dialing", "probing", "asking", "greeting", "live", "waiting", "refused", "closed"]

const _ = ignore
/** @type {Record<string, Rule[]>} */
export const TABLE = {
  //                  idle   dialing  probing  asking   greeting  live     waiting  refused closed
  open:             [ dial,  _,       _,       _,       _,        _,       dial,    dial,   dial ],
  want:             [ dial,  _,       _,       _,       _,        _,       _,       _,      _ ],
  close:            [ close, close,   close,   close,   close,    close,   close,   close,  _ ],
  alarm:            [ _,     tooSlow, retry,   slow,    doubt,    listen,  dial,    _,      _ ],
  wake:             [ _,     _,       _,       _,       _,        look,    dial,    _,      _ ],
  resume:           [ _,     _,       _,       _,       _,        look,    dial,    _,      _ ],
  online:           [ _,     _,       _,       _,       _,        look,    better,  _,      _ ],
  offline:          [ _,     offline, offline, offline, offline,  offline, offline, _,      _ ],
  freeze:           [ _,     freeze,  freeze,  freeze,  freeze,   freeze,  freeze,  _,      _ ],
  pagehide:         [ _,     freeze,  freeze,  freeze,  freeze,   freeze,  freeze,  _,      _ ],
  opened:           [ _,     ask,     _,       _,       _,        dial,    _,       _,      _ ],
  asked:            [ _,     _,       _,       greet,   _,        _,       _,       _,      _ ],
  lost:             [ _,     probe,   _,       lost,    cut,      lost,    _,       _,      _ ],
  failed:           [ _,     next,    retry,   retry,   retry,    retry,   _,       _,      _ ],
  through:          [ _,     _,       doubt,   _,       _,        _,       _,       _,      _ ],
  better:           [ _,     _,       _,       _,       _,        better,  _,       _,      _ ],
  heard:            [ _,     _,       _,       heard,   heard,    heard,   _,       _,      _ ],
  "got hello":      [ _,     _,       _,       _,       admitted, _,       _,       _,      _ ],
  "got renewed":    [ _,     _,       _,       _,       admitted, _,       _,       _,      _ ],
  "got error":      [ _,     _,       refuse,  _,       denied,   _,       _,       _,      _ ],
  "got bye":        [ _,     _,       _,       bye,     bye,      bye,     _,       _,      _ ],
  "got needs_auth": [ _,     _,       _,       _,       _,        expired, _,       _,      _ ],
}

/** @param {State} s @param {string} event @param {Data} data @returns {Decision} */
export const decide = (s, event, data) => TABLE[event][STATES.indexOf(s.state)](s, data)
