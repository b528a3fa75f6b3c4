/** The connection in one word and one sentence, and a knock at a server that has just come back. */

const $ = id => document.getElementById(id)
const WORDS = { live: "Live", connecting: "Connecting", offline: "Offline", refused: "Refused" }

function stateOf(client, pages) {
  if (client.status === "refused" || client.status === "offline") return [client.status, client.reason]
  if (pages.status === "refused") return ["refused", pages.error]
  return [client.status === "live" && pages.status === "live" ? "live" : "connecting", pages.error]
}

export function showStatus(client, pages) {
  const [state, reason] = stateOf(client, pages)
  const sentence = [reason?.message, reason?.fix].filter(Boolean).join(" ")
  const chip = $("status")
  chip.dataset.state = $("project").dataset.state = state
  chip.textContent = WORDS[state]
  chip.title = state === "live" ? `Connection ${client.connection}` : sentence
  $("reason").textContent = sentence
  $("refused").hidden = state !== "refused"
  $("columns").hidden = state === "refused"
}

let knocking

/**
 * The broadcaster starts with the first request that its process answers, and an open page makes none. So while we are
 * offline ask for something small, and connect at once when it is there.
 */
export function knock(client) {
  clearInterval(knocking)
  if (client.status !== "offline") return
  knocking = setInterval(async () => {
    const answer = await fetch($("project").dataset.alive, { cache: "no-store" }).catch(() => null)
    if (answer?.ok && client.status === "offline") client.open()
  }, 1000)
}
