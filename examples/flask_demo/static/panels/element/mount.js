/** The panel that is a custom element; as it is, without a bundle. */

import { preparePages } from "./pages.js"

export function mount(target, { markup, ...properties }) {
  preparePages(markup.querySelector("realtime-list"), properties)
  target.append(markup)
  return () => target.replaceChildren()
}
