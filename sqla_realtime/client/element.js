/** A custom element: `<realtime-list channel="projects/5/pages"><ul><template>...</template></ul></realtime-list>`. */

import { renderRows } from "./dom.js"
import { connect } from "./realtime.js"

/** Its template is shown once per row, as `renderRows()` does, in the order of a field. */
export class RealtimeList extends HTMLElement {
  static observedAttributes = ["channel", "order"]
  /** @type {import("./watch.js").Client | undefined} of all elements that have none of their own; made when it is needed */
  static client
  /** @type {(() => void) | undefined} */
  #end

  connectedCallback() {
    // Not before the code that imported this module had its turn to set the client.
    queueMicrotask(() => this.isConnected && this.#start())
  }

  attributeChangedCallback() {
    if (this.#end) this.#start()
  }

  disconnectedCallback() {
    this.#end?.()
    this.#end = undefined
  }

  #start() {
    this.disconnectedCallback()
    const template = this.querySelector("template")
    const by = this.getAttribute("order")
    if (!template) return
    this.#end = renderRows(template, (RealtimeList.client ??= connect()), this.getAttribute("channel"), {
      sort: by ? (a, b) => Number(a[by] > b[by]) - Number(a[by] < b[by]) : undefined,
      fill: (element, row) => this.dispatchEvent(new CustomEvent("row", { detail: { element, row } })),
    })
  }
}

customElements.define("realtime-list", RealtimeList)
