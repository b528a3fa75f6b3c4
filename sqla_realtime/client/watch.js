/** What the adapters share: a collection's state as one value, and one use of a collection from beginning to end. */

/** @typedef {ReturnType<typeof import("./realtime.js").connect>} Client */
/** @template [T=any] @typedef {import("./collection.js").Collection<T>} Collection */
/** @template [T=any] @typedef {Pick<Collection<T>, "rows" | "status" | "error">} State */

/** @type {State} */
export const LOADING = Object.freeze({ rows: Object.freeze([]), status: "loading", error: null })
const states = new WeakMap()

/**
 * @template T
 * @param {Collection<T>} collection
 * @returns {State<T>} the same object until something in it changes
 */
export function stateOf(collection) {
  const { rows, status, error } = collection
  const old = states.get(collection)
  if (old?.rows === rows && old.status === status && old.error === error) return old
  const state = { rows, status, error }
  states.set(collection, state)
  return state
}

/**
 * Calls `fn` now and at each change. With a client and a name it joins the channel, and leaves it in the end; no name, nothing.
 * @param {Client | Collection} source
 * @param {string | null | undefined | false} name
 * @param {(state: State) => void} fn
 * @returns {() => void} ends it
 */
export function watch(source, name, fn) {
  const own = "collection" in source
  const collection = own ? name && source.collection(name) : source
  if (!collection) return fn(LOADING), () => {}
  /** @type {State | undefined} */
  let last
  const tell = () => last !== (last = stateOf(collection)) && fn(last)
  const ends = [collection.subscribe(tell), collection.on("status", tell)]
  if (own) ends.push(() => collection.close())
  return () => ends.splice(0).forEach(end => end())
}
