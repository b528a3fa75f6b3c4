/** The panel without a framework; as it is, without a bundle. */

import { showPages } from "./pages.js"

export function mount(target, { markup, ...properties }) {
  target.append(markup)
  const end = showPages(target.querySelector("template"), properties)
  return () => (end(), target.replaceChildren())
}
