/** React: `const { rows, status, error } = useCollection(client, "projects/5/pages")`. */

import { useMemo, useSyncExternalStore } from "react"
import { LOADING, stateOf, watch } from "./watch.js"

const nothing = () => LOADING

/** @param {import("./watch.js").Client | import("./watch.js").Collection} source @param {string | null | false} [name] */
function storeOf(source, name) {
  let state = LOADING
  return {
    // A collection is read as it is, lest two components of one render disagree.
    read: () => ("collection" in source ? state : stateOf(source)),
    subscribe: (/** @type {() => void} */ changed) => watch(source, name, now => void ((state = now), changed())),
  }
}

/**
 * Joins when the component is mounted, not when it is rendered: a render may be thrown away. The channel is left when the last
 * component that shows it is gone.
 * @template [T=any]
 * @param {import("./watch.js").Client | import("./watch.js").Collection<T>} source a client, or a collection that you close
 * @param {string | null | false} [name] of the channel, if `source` is a client; nothing is joined while it is null
 * @returns {import("./watch.js").State<T>}
 */
export function useCollection(source, name) {
  const { subscribe, read } = useMemo(() => storeOf(source, name), [source, name])
  return useSyncExternalStore(subscribe, read, nothing)
}
