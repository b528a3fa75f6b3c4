/** Starts the page's script, once the client is there: it comes from the broadcaster, which may be killed at any moment. */

const notice = document.getElementById("notice")

try {
  await import("/realtime/realtime.js")
} catch (error) {
  notice.textContent = "The broadcaster was not there when this page was loaded. Load it again."
  notice.hidden = false
  throw error
}
await import(document.getElementById("project").dataset.script)
