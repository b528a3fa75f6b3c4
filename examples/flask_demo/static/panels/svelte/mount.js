/** The panel of Svelte. */

import { mount as start, unmount } from "svelte"
import Pages from "./Pages.svelte"

export function mount(target, props) {
  const component = start(Pages, { target, props })
  return () => unmount(component)
}
