/** Keyed rows that equal one channel, and who listens to them. */

export const report = error => (globalThis.reportError ?? console.error)(error)

export class Emitter {
  _listeners = new Set()

  /**
   * "status" calls `fn` now, too.
   * @param {string} event
   * @param {(value: any) => void} fn
   * @returns {() => void} ends it
   */
  on(event, fn) {
    const listener = { event, fn }
    this._listeners.add(listener)
    if (event !== "change") this._emit(event, null, [listener])
    return () => void this._listeners.delete(listener)
  }

  _emit(event, value, listeners = [...this._listeners]) {
    for (const listener of listeners)
      try {
        if (listener.event === event && this._listeners.has(listener)) listener.fn(value ?? this[event])
      } catch (error) {
        report(error)
      }
  }
}

const keyOf = row => row.class + "\n" + row.id

function same(a, b) {
  if (!a || !b || typeof a !== "object" || Array.isArray(a) !== Array.isArray(b)) return a === b
  return Object.keys({ ...a, ...b }).every(key => same(a[key], b[key]))
}

/** @template [T=any] */
export class Collection extends Emitter {
  /** @type {string} */
  name
  /** @type {() => void} asks again after a refusal */
  retry
  /** @type {() => void} */
  close
  /** @type {"loading" | "live" | "stale" | "refused"} */
  status = "loading"
  /** @type {{code: string, message: string, fix?: string} | null} */
  error = null
  _tries = 0
  _users = 0
  #byKey = new Map() // keeps a changed row in its place
  #classes = new Set()
  #rows = []
  #untold = { changes: [] }

  /** @returns {readonly T[]} the same until it changes */
  get rows() {
    return (this.#rows ??= [...this.#byKey.values()].map(row => row.record))
  }

  /** @param {string | number} id @returns {T | undefined} */
  get(id) {
    for (const kind of this.#classes) {
      const row = this.#byKey.get(keyOf({ class: kind, id }))
      if (row) return row.record
    }
  }

  /**
   * Calls `fn` now and at each change.
   * @param {(rows: readonly T[]) => void} fn
   * @returns {() => void} ends it
   */
  subscribe(fn) {
    return this.on("rows", fn)
  }

  _apply(change) {
    if (change.type === "destroy") this.#byKey.delete(keyOf(change))
    else if (change.record) this.#byKey.set(keyOf(change), change)
    else throw new TypeError("no record")
    this.#classes.add(change.class)
    this.#rows = null
    this.#untold.moved = true
    this.#untold.changes.push(change)
  }

  /** A snapshot; what is equal stays the same object. */
  _lay(rows) {
    const gone = new Map(this.#byKey)
    const channel = this.name
    for (const row of rows) {
      const old = gone.get(keyOf(row))
      gone.delete(keyOf(row))
      if (!old || !same(old.record, row.record)) this._apply({ ...row, type: old ? "update" : "create", channel })
    }
    for (const { class: kind, id } of gone.values()) this._apply({ type: "destroy", class: kind, id, channel })
    this.#untold.moved ||= !this._answered
    this._answered = true
  }

  _set(status, error = null) {
    if (status === "stale" && !this._answered) status = "loading"
    this.#untold.turned ||= status !== this.status || error !== this.error
    this.status = status
    this.error = error
  }

  _tell(commit, origin) {
    const { changes, moved, turned } = this.#untold
    this.#untold = { changes: [] }
    if (turned) this._emit("status")
    if (changes.length) this._emit("change", { changes, commit, origin })
    if (moved) this._emit("rows")
  }
}
