/** One channel's keyed rows, and what its collections have not been told yet. */

/**
 * @template [T=any]
 * @typedef {object} Change
 * @property {"create" | "update" | "destroy"} type
 * @property {string} class
 * @property {string} id
 * @property {string} channel
 * @property {T} [record] not with "destroy"
 * @property {string[]} [changed]
 * @property {"enter" | "leave"} [cause]
 */

/**
 * What a "change" event is: one commit's part in one channel.
 * @template [T=any]
 * @typedef {object} Commit
 * @property {Change<T>[]} changes
 * @property {string | null} commit the position; after a snapshot the snapshot's
 * @property {boolean} own whether a request with this client's `headers` made it
 */

/**
 * @typedef {{class: string, id: string, record?: any}} Row
 * @typedef {"loading" | "live" | "stale" | "refused"} ChannelStatus
 * @typedef {import("./machine.js").Reason} Reason
 */

/** @param {{class: string, id: string | number}} row */
const keyOf = row => row.class + "\n" + row.id

/** @param {any} a @param {any} b @returns {boolean} */
function same(a, b) {
  if (!a || !b || typeof a !== "object" || Array.isArray(a) !== Array.isArray(b)) return a === b
  return Object.keys({ ...a, ...b }).every(key => same(a[key], b[key]))
}

/**
 * @typedef {(event: string, value?: unknown) => void} Emit
 * @typedef {ReturnType<typeof makeChannel>} Channel
 *
 * @typedef {object} State
 * @property {string} name
 * @property {ChannelStatus} status
 * @property {Reason | null} error
 * @property {Set<Emit>} users its collections, as what tells their listeners
 * @property {number} failures
 * @property {number} [asked] the id of the newest subscribe, answered or not
 * @property {string | null} [at] while it is not live: the position that it can be resumed from
 * @property {string} [token] with which it was refused
 * @property {any} [timer] runs until it is asked for again
 * @property {any} [leaving] runs until it is dropped
 */

/** @param {string} name */
export function makeChannel(name) {
  /** Keeps a changed row in its place. @type {Map<string, Row>} */
  const byKey = new Map()
  /** @type {Set<string>} */
  const classes = new Set()
  /** @type {readonly any[] | null} */
  let rows = []
  let answered = false
  /** @type {Commit[]} */
  let commits = []
  let moved = false
  let turned = false

  /** @param {Change} change @param {string | null} commit @param {boolean} [own] */
  function apply(change, commit, own = false) {
    if (change.type === "destroy") byKey.delete(keyOf(change))
    else if (change.record) byKey.set(keyOf(change), change)
    else throw new TypeError("no record")
    classes.add(change.class)
    rows = null
    moved = true
    const last = commits.at(-1)
    if (last?.commit === commit) last.changes.push(change)
    else commits.push({ changes: [change], commit, own })
  }

  return {
    .../** @type {State} */ ({ name, status: "loading", error: null, users: new Set(), failures: 0 }),
    apply,

    /** The same until it changes. */
    get rows() {
      return (rows ??= [...byKey.values()].map(row => row.record))
    },

    /** @param {string | number} id */
    get(id) {
      for (const kind of classes) {
        const row = byKey.get(keyOf({ class: kind, id }))
        if (row) return row.record
      }
    },

    /** A snapshot; what is equal stays the same object. @param {Row[]} snapshot @param {string | null} position */
    lay(snapshot, position) {
      const gone = new Map(byKey)
      for (const row of snapshot) {
        const old = gone.get(keyOf(row))
        gone.delete(keyOf(row))
        if (!old || !same(old.record, row.record)) apply({ ...row, type: old ? "update" : "create", channel: name }, position)
      }
      for (const row of gone.values()) apply({ type: "destroy", class: row.class, id: row.id, channel: name }, position)
      moved ||= !answered
      answered = true
    },

    /** Nothing of it may be shown any more. @param {string | null} position */
    empty(position) {
      this.lay([], position)
      answered = false
    },

    /** @param {ChannelStatus} status @param {Reason | null} [error] */
    turn(status, error = null) {
      if (status === "stale" && !answered) status = "loading"
      turned ||= status !== this.status || error !== this.error
      this.status = status
      this.error = error
    },

    /** First the status, then what was done, then the rows. @param {boolean} skipOwn */
    tell(skipOwn) {
      /** @type {[string, Commit?][]} */
      const events = commits.filter(({ own }) => !own || !skipOwn).map(commit => ["change", commit])
      if (turned) events.unshift(["status"])
      if (moved) events.push(["rows"])
      commits = []
      moved = turned = false
      for (const event of events) for (const emit of [...this.users]) emit(...event)
    },
  }
}
