/** Keyed rows that equal one channel, and who listens to them. */

export const report = error => (globalThis.reportError ?? console.error)(error)

export class Emitter {
  _listeners = new Set()

  /**
   * "status" calls `fn` also now.
   * @param {string} event
   * @param {(value: any) => void} fn
   * @returns {() => void} ends it
   */
  on(event, fn) {
    const listener = { event, fn }
    this._listeners.add(listener)
    if (event !== "change") this.#call(listener)
    return () => void this._listeners.delete(listener)
  }

  _emit(event, value) {
    for (const listener of [...this._listeners]) if (listener.event === event) this.#call(listener, value)
  }

  #call(listener, value = this[listener.event]) {
    try {
      if (this._listeners.has(listener)) listener.fn(value)
    } catch (error) {
      report(error)
    }
  }
}

const keyOf = row => row.class + "\n" + row.id

/** @template [T=any] */
export class Collection extends Emitter {
  /** @type {"loading" | "live" | "stale" | "refused"} */
  status = "loading"
  /** @type {{code: string, message: string, fix?: string} | null} */
  error = null
  _tries = 0
  #byKey = new Map() // keeps a changed row in its place
  #classes = new Set()
  #rows = []
  #untold = { changes: [] }

  constructor(name, retry, close) {
    super()
    this.name = name
    this.retry = () => retry(this)
    this.close = () => close(this)
  }

  /** @returns {readonly T[]} the same array until something changes */
  get rows() {
    return (this.#rows ??= Array.from(this.#byKey.values(), row => row.record))
  }

  /** @returns {T | undefined} */
  get(id) {
    for (const kind of this.#classes) {
      const row = this.#byKey.get(keyOf({ class: kind, id }))
      if (row) return row.record
    }
  }

  /**
   * Calls `fn` now and after what touched the rows.
   * @param {(rows: readonly T[]) => void} fn
   * @returns {() => void} ends it
   */
  subscribe(fn) {
    return this.on("rows", fn)
  }

  _apply(change) {
    if (change.type === "destroy") this.#byKey.delete(keyOf(change))
    else this.#put(this.#byKey, change)
    this.#rows = null
    this.#untold.moved = true
    this.#untold.changes.push(change)
  }

  /** Replaces the rows; an equal record stays the same object. */
  _lay(rows) {
    const [before, after, shown, untold] = [this.#byKey, new Map(), this.rows, this.#untold]
    const note = (type, row) => untold.changes.push({ ...row, type, channel: this.name })
    untold.moved ||= !this._answered || shown.length > rows.length
    rows.forEach((row, i) => {
      const old = before.get(keyOf(row))
      if (JSON.stringify(old?.record) === JSON.stringify(row.record)) row = old
      else note(old ? "update" : "create", row)
      this.#put(after, row)
      untold.moved ||= row.record !== shown[i]
    })
    for (const [key, row] of before) if (!after.has(key)) note("destroy", { class: row.class, id: row.id })
    this.#byKey = after
    this._answered = true
    if (untold.moved) this.#rows = null
  }

  #put(rows, row) {
    if (!row.record) throw new TypeError("a row without a record")
    this.#classes.add(row.class)
    rows.set(keyOf(row), row)
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
