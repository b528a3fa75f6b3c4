/** Svelte: a collection is a store already, `$pages`; `collection()` makes one that leaves its channel with its last component. */

import { watch } from "./watch.js"

/** @template T @typedef {{subscribe(run: (value: T) => void): () => void}} Store */

/**
 * @template [T=any]
 * @param {import("./watch.js").Client | import("./watch.js").Collection<T>} source a client, or a collection that you close
 * @param {string | null | false} [name] of the channel, if `source` is a client
 * @returns {Store<readonly T[]> & {
 *   status: Store<import("./watch.js").State["status"]>,
 *   error: Store<import("./watch.js").State["error"]>,
 * }} a store of the rows, with two more beside it
 */
export function collection(source, name) {
  const store = (/** @type {keyof import("./watch.js").State} */ field) => ({
    subscribe: (/** @type {(value: any) => void} */ run) => watch(source, name, state => run(state[field])),
  })
  return { ...store("rows"), status: store("status"), error: store("error") }
}
