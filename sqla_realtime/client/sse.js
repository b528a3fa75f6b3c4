/** Messages over server-sent events, read with fetch; what the client has to say later goes by POST. */

import { errorOf, post } from "./fallback.js"

/** What one body may bring; the server takes 64 KiB. */
const BODY = 60_000
/** How soon after its beginning a stream does not begin anew at once. */
const YOUNG = 10_000

/** @param {import("./websocket.js").Line} line @returns {import("./websocket.js").Transport} */
export function open(line) {
  let abort = new AbortController()
  /** @type {{connection?: string, via?: string}} */
  let hello = {}
  let begun = 0
  /** @type {any[]} */
  let later = []
  let sending = Promise.resolve()
  queueMicrotask(line.opened)

  /** @param {any[]} messages */
  async function stream(messages) {
    abort.abort()
    const { signal } = (abort = new AbortController())
    begun = line.window.Date.now()
    let size = 0
    const fits = messages.filter(message => (size += JSON.stringify(message).length) < BODY)
    later = messages.slice(fits.length)
    /** @type {Awaited<ReturnType<typeof errorOf>>} */
    let why = {}
    try {
      const response = await post(line, "sse", fits, signal)
      if (response.ok && response.body) await read(response.body.getReader(), signal)
      else why = await errorOf(response)
    } catch {}
    if (signal.aborted) return
    if (why.type) line.message(why)
    else line.lost({ code: why.code ? 4500 : 1006, reason: why.code, message: why.message })
  }

  /** @param {ReadableStreamDefaultReader<Uint8Array>} reader @param {AbortSignal} signal */
  async function read(reader, signal) {
    const decoder = new TextDecoder()
    let rest = ""
    /** @type {string[]} */
    let data = []
    for (;;) {
      const { value, done } = await reader.read()
      if (done) return
      const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r/)
      rest = lines.pop() ?? ""
      for (const text of lines) {
        if (signal.aborted) return
        if (text.startsWith("data:")) data.push(text.slice(5))
        else if (!text && data.length) hear(data.splice(0).join("\n"))
      }
    }
  }

  /** @param {string} text */
  function hear(text) {
    let message
    try {
      message = JSON.parse(text)
    } catch {}
    if (message?.type === "hello") {
      hello = message
      if (later.length) command(later.splice(0))
    }
    line.message(message)
  }

  /** One after the other, lest they overtake each other. @param {any[]} messages */
  function command(messages) {
    const { signal } = abort
    sending = sending.then(async () => {
      if (signal.aborted) return
      const { connection, via } = hello
      let response
      try {
        response = await post(line, "send", { connection, via, messages }, signal)
      } catch {}
      // A ping that is lost does no harm.
      if (signal.aborted || response?.ok || messages.every(({ type }) => type === "ping")) return
      // The process that has the stream is gone, or not to be reached: a new one brings everything along.
      if (response?.status === 404 && line.window.Date.now() - begun > YOUNG) line.opened()
      else line.lost({ code: 4500, reason: "unknown-connection" })
    })
  }

  return {
    eager: true,
    patience: 5_000,
    send(messages) {
      if (messages[0]?.type === "hello") stream(messages)
      else if (messages.length) command(messages)
    },
    close: () => abort.abort(),
  }
}
