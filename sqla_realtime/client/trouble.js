/** What is wrong, and what can be done: sentences, a diagnosis, a knock. Loaded beside the client, which works without it. */

const TRYING = "It is tried again by itself"
const SPOKEN = /** @type {Record<string, string>} */ ({ websocket: "WebSocket", sse: "SSE", poll: "long-poll" })

/** @type {Record<string, [message: string, fix?: string]>} */
const WORDS = {
  idle: ["Nothing has been asked for yet.", "collection() or open() connects."],
  connecting: ["Connecting to the server."],
  unreachable: ["The server cannot be reached.", `${TRYING}; see that the server runs, and that its address is right.`],
  offline: ["This device is offline.", `${TRYING} when the network is back.`],
  frozen: ["The browser has put the page to sleep.", `${TRYING} when the page is shown again.`],
  "token-slow": ["There is no token after ten seconds.", `${TRYING}; see what the token function waits for.`],
  "token-failed": ["", `${TRYING}; see why the token function fails.`],
  "needs-auth": ["The token has expired.", "A new one is being asked for."],
  closed: ["The client was closed.", "open() connects again."],
}

/** @param {import("./machine.js").State} state @returns {[message: string, fix?: string]} */
function wordsFor({ status, reason: { code }, names, rank }) {
  const [over, ...better] = names.slice(0, rank + 1).map(name => SPOKEN[name] ?? name).reverse()
  if (code === "live") {
    if (!rank) return [`Live, over ${over}.`]
    const blocked = `${better.reverse().join(" and ")} ${rank > 1 ? "do" : "does"} not get through`
    const fix = "Better ones are tried again by themselves; see that proxies pass WebSocket upgrades, and do not buffer."
    return [`Live, over ${over} because ${blocked}.`, fix]
  }
  const closed = `The connection was closed: ${code.replace("closed-", "")}.`
  return WORDS[code] ?? [closed, status === "refused" ? "When that is put right, open() connects again." : `${TRYING}.`]
}

/**
 * The state's reason in words; it stays the same object. What the server has said is not said again.
 * @param {import("./machine.js").State} state
 */
export function explain(state) {
  const { reason } = state
  const [message, fix] = wordsFor(state)
  if (reason.message === reason.code) reason.message = message
  reason.fix ??= fix
  return reason
}

/**
 * A browser hides why a WebSocket was refused; a GET tells, and whether HTTP gets through at all. Meanwhile the page's own
 * server is knocked at, which may be the one to start this one.
 * @param {any} window
 * @param {string} url
 * @returns {Promise<[event: string, body?: unknown]>}
 */
export async function diagnose(window, url) {
  const http = url.replace("ws", "http")
  knock(window, http)
  try {
    const answer = await window.fetch(http)
    const body = /400|403/.test(answer.status) && (await answer.json().catch(() => null))
    if (body?.type === "error") return ["got error", body]
    if (answer.status < 500) return ["through"]
  } catch {}
  return ["failed"]
}

/** @param {any} window @param {string} http */
async function knock(window, http) {
  try {
    const { origin, pathname } = new URL("realtime.js", http)
    const here = window.location.origin
    if (here !== origin) await window.fetch(here + pathname, { cache: "no-store", redirect: "manual" })
  } catch {}
}
