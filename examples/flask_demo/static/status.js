/** The connection in one word and one sentence. */

const $ = id => document.getElementById(id)
const OVER = { websocket: "WebSocket", sse: "SSE", poll: "long-poll" }
const WORDS = { live: "Live", connecting: "Connecting", offline: "Offline", refused: "Refused" }

function stateOf(client, pages) {
  if (client.status === "refused" || client.status === "offline") return [client.status, client.reason]
  if (pages.status === "refused") return ["refused", pages.error]
  return [client.status === "live" && pages.status === "live" ? "live" : "connecting", pages.error ?? client.reason]
}

export function showStatus(client, pages) {
  const [state, reason] = stateOf(client, pages)
  const sentence = [reason?.message, reason?.fix].filter(Boolean).join(" ")
  const chip = $("status")
  chip.dataset.state = $("project").dataset.state = state
  chip.textContent = state === "live" ? `${WORDS.live} · ${OVER[client.transport]}` : WORDS[state]
  chip.title = sentence
  $("reason").textContent = sentence
  $("refused").hidden = state !== "refused"
  $("columns").hidden = state === "refused"
}
