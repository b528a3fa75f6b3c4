/** Messages over long polls: each brings all channels and their position, so that it does not matter who answers. */

import { batch } from "./batch.js"
import { errorOf, post } from "./fallback.js"

/** Subscribes of this module have ids from here on; those of the client are small. */
const OWN = 2 ** 52
/** An answer that says nothing new and comes sooner than this does not lead to the next poll at once. */
const PAUSE = 1_000

/** @param {import("./websocket.js").Line} line @returns {import("./websocket.js").Transport} */
export function open(line) {
  const { window } = line
  let abort = new AbortController()
  /** @type {any} */
  let hello
  let greeted = false
  /** What the client has joined: `id` until it is answered. @type {Map<string, {id?: number, after?: string}>} */
  const joined = new Map()
  /** And what it attends: with a `tag` once it is `known` who is there. @type {Map<string, {id: number, tag?: string, known?: boolean}>} */
  const attended = new Map()
  let saying = Promise.resolve()
  /** @type {string | undefined} */
  let position
  queueMicrotask(line.opened)

  /** A poll that is under way has been overtaken: it would not be answered before there is news. */
  function begin() {
    abort.abort()
    const { signal } = (abort = new AbortController())
    // Not before an answer that is just being told has been told.
    queueMicrotask(() => poll(signal))
  }

  /** @param {AbortSignal} signal */
  async function poll(signal) {
    while (!signal.aborted) {
      const soon = window.Date.now() + PAUSE
      let why, news
      try {
        const response = await post(line, "poll", body(), signal)
        const answer = response.ok && (await response.json())
        if (!answer) why = await errorOf(response)
        if (signal.aborted) return
        if (answer) news = take(answer)
      } catch {}
      if (signal.aborted) return
      if (why?.code === "too-many-messages" && shed(why)) continue
      if (news === undefined) return fail(why)
      if (!news && window.Date.now() < soon) await new Promise(resolve => window.setTimeout(resolve, PAUSE))
    }
  }

  /** More rooms than a poll has room for: the newest are refused, and the rest of the page stays live. @param {{message?: string}} why */
  function shed({ message }) {
    const newest = [...attended].slice(-Math.ceil(attended.size / 8))
    for (const [channel, { id }] of newest) {
      attended.delete(channel)
      line.message({ type: "error", id, code: "too-many-messages", message })
    }
    return newest.length
  }

  /** @param {{type?: string, code?: string, message?: string}} [why] */
  function fail({ type, code, message } = {}) {
    abort.abort()
    if (type && !greeted) line.message({ type, code, message })
    else line.lost({ code: type ? 4400 : code ? 4500 : 1006, reason: code, message })
  }

  function body() {
    let own = OWN
    /** @type {Map<number | undefined, string | undefined>} */
    const afters = new Map()
    for (const { id, after } of joined.values()) afters.set(id, after)
    /** @type {[string, number | undefined][]} */
    const wanted = [...joined].map(([name, { id }]) => [name, id])
    const make = (/** @type {number | undefined} */ id) => ({ type: "subscribe", id: id ?? own++, channels: [], after: afters.get(id) })
    const attends = [...attended].map(([channel, { id, tag }]) => ({ type: "attend", id, channel, tag }))
    const messages = [hello, ...batch(wanted, make), ...attends]
    const isOpen = [...afters.keys()].some(id => id !== undefined) || [...attended.values()].some(({ known }) => !known)
    const urgent = !greeted || isOpen
    // What the client waits for is answered at once, by a pong where there is nothing else to say.
    if (urgent) messages.push({ type: "ping" })
    return messages
  }

  /** @param {any[]} answer @returns {boolean} whether there was news */
  function take(answer) {
    let news = false
    for (const message of answer) {
      if (abort.signal.aborted) break // it is over; while a poll that is to come is no reason to leave out the rest
      const { type, id, commits, channel } = message
      const known = type === "members" ? attended.get(channel)?.known : id >= OWN && type === "subscribed" && !commits?.length
      news ||= !/^(hello|ping)$/.test(type) && !known
      hear(message)
    }
    for (const channel of joined.values()) if (channel.id === undefined) channel.after = position
    return news
  }

  /** @param {any} message */
  function hear(message) {
    const { type, id, channels, commit, channel, tag } = message
    const own = id >= OWN
    position = commit ?? message.position ?? position
    if (type === "hello") greeted = true
    else if (type === "subscribed") {
      for (const { channel } of channels) {
        const one = joined.get(channel)
        if (one && (own || one.id === id)) one.id = undefined
      }
    } else if (type === "error") return hearError(message)
    else if (/^(members|joined|left)$/.test(type)) {
      const one = attended.get(channel)
      if (one) Object.assign(one, { tag, known: true })
    } else if (type === "reset" || type === "leave")
      for (const name of channels) {
        joined.delete(name)
        if (type === "leave") attended.delete(name)
      }
    else if (type === "needs_auth") abort.abort()
    line.message(own ? { ...message, id: undefined } : message)
    if (type === "bye") fail({ code: message.reason })
  }

  /** @param {any} error */
  function hearError(error) {
    const { id, channel, code } = error
    const own = id >= OWN
    if (channel) {
      if (own || joined.get(channel)?.id === id) joined.delete(channel)
      line.message(own ? { ...error, id: undefined } : error)
    } else if (own) fail({ code })
    else if (id !== undefined) {
      for (const map of [joined, attended]) for (const [name, one] of map) if (one.id === id) map.delete(name)
      line.message(error)
    } else if (greeted && /token/.test(code)) {
      // Between two polls it has expired.
      abort.abort()
      line.message({ type: "needs_auth", reason: code })
    } else fail(error)
  }

  /** Beside the poll that listens, which would not be heard of before there is news. @param {any} message */
  async function say(message) {
    const { id, channel } = message
    const lost = { type: "error", code: "unreachable" }
    /** @type {any[]} */
    let answer = []
    try {
      const attend = { type: "attend", channel, ...attended.get(channel), known: undefined }
      const response = await post(line, "poll", [hello, attend, message, { type: "ping" }])
      answer = [await response.json()].flat()
    } catch {}
    line.message(answer.find(one => one?.id === id) ?? { ...(answer.find(one => one?.type === "error") ?? lost), id })
  }

  return {
    eager: true,
    patience: 40_000,
    send(messages) {
      for (const message of messages) {
        const { type, id, channels, after, channel, tag } = message
        if (type === "hello") {
          hello = message
          greeted = false
          joined.clear()
          attended.clear()
        } else if (type === "attend") attended.set(channel, { id, tag })
        else if (type === "depart") attended.delete(channel)
        else if (type === "say") saying = saying.then(() => say(message))
        else if (type === "subscribe") for (const name of channels) joined.set(name, { id, after })
        else if (type === "unsubscribe") for (const name of channels) joined.delete(name)
      }
      if (messages.some(({ type }) => /^(hello|subscribe|attend|depart)$/.test(type))) begin()
    },
    close: () => abort.abort(),
  }
}
