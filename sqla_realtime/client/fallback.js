/** What is only needed where WebSockets do not get through: POST, and finding out whether they do by now. */

/**
 * With cookies, and without a preflight.
 * @param {import("./websocket.js").Line} line
 * @param {string} name
 * @param {unknown} body
 * @param {AbortSignal} [signal]
 * @returns {Promise<Response>}
 */
export const post = ({ url, window }, name, body, signal) =>
  window.fetch(new URL(name, url.replace(/^ws/, "http")).href, {
    method: "POST",
    body: JSON.stringify(body), // as text, so it is text/plain, for which no browser asks beforehand
    credentials: "include",
    cache: "no-store",
    signal,
  })

/**
 * Why there is no answer: the server's error, if it is one of ours. One of 5xx means: come back.
 * @param {Response} response
 * @returns {Promise<{type?: string, code?: string, message?: string}>}
 */
export async function errorOf(response) {
  try {
    const body = await response.json()
    if (body?.type === "error") return response.status < 500 ? body : { code: body.code, message: body.message }
  } catch {}
  return {}
}

/** @typedef {Pick<import("./connection.js").Options, "window" | "url" | "loaders">} Connection */

/** How long the better transports are left alone, until a random moment near it. */
const LEAVE = 300_000
/** @type {WeakMap<object, () => void>} */
const settled = new WeakMap()

/**
 * A client is live over a lesser transport: the next page in this tab begins with it, and better ones are tried again after
 * some minutes, or when the network has changed, beside the one that works.
 * @param {Connection} connection
 * @param {() => import("./machine.js").State} stateOf
 * @param {(event: string, data: any) => void} step
 */
export function settle(connection, stateOf, step) {
  const { window, url } = connection
  const { rank, names } = stateOf()
  settled.get(step)?.()
  if (!rank) return forget(window, url)
  const timer = window.setTimeout(tryBetter, remember(window, url, rank) * (0.8 + 0.4 * window.Math.random()))
  window.addEventListener?.("online", tryBetter)
  settled.set(step, end)

  function end() {
    window.clearTimeout(timer)
    window.removeEventListener?.("online", tryBetter)
  }

  async function tryBetter() {
    end()
    if (stateOf().state !== "live") return // once it is again, it settles again
    forget(window, url)
    settle(connection, stateOf, step)
    for (let better = 0; better < rank; better++)
      if (await getsThrough(connection, names[better])) return step("better", { rank: better })
  }
}

/** @param {any} window @param {string} url @param {number} rank @returns {number} how long it is still left at that */
function remember(window, url, rank) {
  const now = window.Date.now()
  try {
    const [was, until] = JSON.parse(window.sessionStorage.getItem(url)) ?? []
    if (was === rank && until > now) return until - now
    window.sessionStorage.setItem(url, JSON.stringify([rank, now + LEAVE]))
  } catch {}
  return LEAVE
}

/** @param {any} window @param {string} url */
function forget(window, url) {
  try {
    window.sessionStorage.removeItem(url)
  } catch {}
}

/** Whether a hello is answered. @param {Connection} connection @param {string} name @returns {Promise<boolean>} */
async function getsThrough({ url, window, loaders }, name) {
  /** @type {import("./websocket.js").Transport | undefined} */
  let transport
  let timer
  try {
    const open = await loaders[name]()
    return await new Promise(resolve => {
      timer = window.setTimeout(() => resolve(false), 10_000)
      transport = open({
        url,
        window,
        opened: () => transport?.send([{ type: "hello" }]),
        message: message => resolve(message?.type === "hello"),
        lost: () => resolve(false),
      })
    })
  } catch {
    return false
  } finally {
    window.clearTimeout(timer)
    transport?.close()
  }
}
