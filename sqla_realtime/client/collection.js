/** What a page holds of a channel: rows to read, events to listen to. Each caller has its own, and closes its own. */

/** @param {unknown} error */
export const report = error => (globalThis.reportError ?? console.error)(error)

/** @param {(event: string) => unknown} now what an event tells, if nothing else; undefined where there is nothing to tell now */
export function makeEmitter(now) {
  /** @type {Set<{event: string, fn: (value: any) => void}>} */
  const listeners = new Set()

  /** @param {string} event @param {unknown} [value] @param {Iterable<{event: string, fn: (value: any) => void}>} [to] */
  function emit(event, value, to = [...listeners]) {
    for (const listener of to)
      try {
        if (listener.event === event && listeners.has(listener)) listener.fn(value ?? now(event))
      } catch (error) {
        report(error)
      }
  }

  /** @param {string} event @param {(value: any) => void} fn */
  function on(event, fn) {
    const listener = { event, fn }
    listeners.add(listener)
    if (now(event) !== undefined) emit(event, undefined, [listener])
    return () => listeners.delete(listener)
  }

  return { on, emit, listeners }
}

/**
 * @template T
 * @typedef {object} CollectionEvents
 * @property {readonly T[]} rows
 * @property {import("./channel.js").ChannelStatus} status
 * @property {import("./channel.js").Commit<T>} change once for each commit
 */

/**
 * @template T
 * @typedef {object} CollectionFields
 * @property {string} name the channel's
 * @property {readonly T[]} rows the same array until it changes
 * @property {import("./channel.js").ChannelStatus} status
 * @property {import("./channel.js").Reason | null} error why it is refused, or not there yet
 * @property {(id: string | number) => T | undefined} get
 * @property {(fn: (rows: readonly T[]) => void) => () => void} subscribe calls `fn` now and at each change; the result ends it
 * @property {<E extends keyof CollectionEvents<T>>(event: E, fn: (value: CollectionEvents<T>[E]) => void) => () => void} on as
 *   `subscribe`; "change" is not told now
 * @property {() => void} retry asks again after a refusal
 * @property {() => void} close its listeners are told nothing more; a second after its last collection was closed the channel is left
 */

/**
 * @template [T=any]
 * @typedef {Readonly<CollectionFields<T>>} Collection
 */

/** @param {import("./channel.js").Channel} channel @param {() => void} retry @param {() => void} left @returns {Collection} */
export function makeCollection(channel, retry, left) {
  const { on, emit, listeners } = makeEmitter(event => /** @type {any} */ (channel)[event])
  channel.users.add(emit)
  return {
    name: channel.name,
    get rows() {
      return channel.rows
    },
    get status() {
      return channel.status
    },
    get error() {
      return channel.error
    },
    get: channel.get,
    on,
    subscribe: fn => on("rows", fn),
    retry,
    close() {
      listeners.clear()
      if (channel.users.delete(emit)) left()
    },
  }
}
