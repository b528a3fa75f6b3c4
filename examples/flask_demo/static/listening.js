/** The page's buttons and fields come disabled: a click before its script listens would be lost without a word. */

export function listening() {
  for (const element of document.querySelectorAll("#project :disabled")) element.disabled = false
}
