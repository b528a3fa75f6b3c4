/** Vue: `const { rows, status, error } = useCollection(client, "projects/5/pages")`, three refs that live with their scope. */

import { shallowRef, toValue, watchEffect } from "vue"
import { LOADING, watch } from "./watch.js"

/**
 * @template T
 * @typedef {import("vue").MaybeRefOrGetter<T>} Maybe
 */

/**
 * A name that is a ref or a getter moves to the other channel when it changes.
 * @template [T=any]
 * @param {Maybe<import("./watch.js").Client | import("./watch.js").Collection<T>>} source a client, or a collection that you close
 * @param {Maybe<string | null | false>} [name] of the channel, if `source` is a client; nothing is joined while it is null
 * @returns {{
 *   rows: import("vue").ShallowRef<readonly T[]>,
 *   status: import("vue").ShallowRef<import("./watch.js").State["status"]>,
 *   error: import("vue").ShallowRef<import("./watch.js").State["error"]>,
 * }}
 */
export function useCollection(source, name) {
  const rows = shallowRef(LOADING.rows)
  const status = shallowRef(LOADING.status)
  const error = shallowRef(LOADING.error)
  const show = (/** @type {import("./watch.js").State} */ state) => ((rows.value = state.rows), (status.value = state.status), (error.value = state.error))
  watchEffect(onCleanup => onCleanup(watch(toValue(source), toValue(name), show)))
  return { rows, status, error }
}
