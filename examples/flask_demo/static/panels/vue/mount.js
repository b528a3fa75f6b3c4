/** The panel of Vue. */

import { createApp } from "vue"
import Pages from "./Pages.vue"

export function mount(target, properties) {
  const app = createApp(Pages, properties)
  app.mount(target)
  return () => app.unmount()
}
