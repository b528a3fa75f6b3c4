/** The list of what arrived: a line per frame, so that it shows that a transaction comes whole. */

const KEEP = 50
const VERBS = { create: "added", update: "changed", destroy: "deleted" }
const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`

export class Journal {
  #list
  #joining = false

  constructor(list) {
    this.#list = list
  }

  /** The rows that a subscription starts from. */
  live(position, count) {
    this.#write("snapshot", position, plural(count, "row"), "all of them, as of this position")
    this.hush()
  }

  /** What a page had missed, and was sent when it came back. */
  resumed(position, count) {
    this.#write("resumed", position, `${plural(count, "commit")} replayed`, "what this page missed while it was away")
  }

  /** What comes in the same breath is told as a whole. */
  hush() {
    this.#joining = true
    queueMicrotask(() => (this.#joining = false))
  }

  /** One transaction. */
  commit(position, changes, own) {
    if (this.#joining) return
    const counts = Map.groupBy(changes, change => change.type)
    const summary = Array.from(counts, ([type, { length }]) => `${length} ${VERBS[type]}`).join(", ")
    const title = changes.length === 1 && changes[0].record?.title
    const detail = title ? `${VERBS[changes[0].type]}: ${title}` : summary
    this.#write("commit", position, `${plural(changes.length, "change")} in one frame${own ? ", yours" : ""}`, detail)
  }

  #write(kind, position, headline, detail) {
    const item = document.createElement("li")
    item.className = kind
    for (const [tag, text] of [["code", `${kind} ${position}`], ["strong", headline], ["span", detail]])
      item.append(Object.assign(document.createElement(tag), { textContent: text }))
    this.#list.prepend(item)
    while (this.#list.children.length > KEEP) this.#list.lastChild.remove()
  }
}
