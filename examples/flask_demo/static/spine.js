/** The guide's application: Spine's model, the handler of what others commit, and a list that is drawn anew when it changes. */

import "./second.js"
import "./sign-in.js"
import { send } from "./send.js"
import { Table } from "./table.js"

const $id = id => document.getElementById(id)
const { url, rollback, user } = $id("spine").dataset

window.Page = Spine.Model.sub()
Page.configure("Page", "position", "title", "edited_by")
Page.extend(Spine.Model.Ajax)
Page.url = url

let ghosts = 0 // rows of the rolled back transaction that ever got here

export const Handler = Spine.Class.sub({
  /** What others commit. None of it goes back to the server. */
  process({ type, class: name, id, record }) {
    const model = window[name]
    if (!model) throw new Error(`Unknown class: ${name}`)
    arrived(`${type} ${name} ${id}`, record?.title ?? "its key alone", JSON.stringify(record) ?? "")
    Spine.Ajax.disable(() => {
      if (type === "create") model.exists(record.id) || model.create(record)
      else if (type === "update") model.update(id, record)
      else if (type === "destroy") model.destroy(id)
    })
    ghosts += record?.edited_by === "nobody"
  },

  /** How the client is. */
  show(state) {
    $id("status").dataset.state = state
    $id("status").textContent = { live: "Live", connecting: "Connecting", offline: "Offline", refused: "Refused" }[state]
  },
})

/** From now on this handler's client is the window's: what the window writes is in it already, so it is not sent that again. */
export function start(handler) {
  $.ajaxSetup({
    beforeSend(xhr) {
      for (const [name, value] of Object.entries(handler.headers())) if (value) xhr.setRequestHeader(name, value)
      // Spine leaves it out where it has nothing to say, and the demo takes JSON alone.
      xhr.setRequestHeader("Content-Type", "application/json")
    },
  })
  new Pages({ el: $id("spine") })
}

/** A line of the journal. */
export function arrived(what, headline, detail) {
  const item = document.createElement("li")
  for (const [tag, text] of [["code", what], ["strong", headline], ["span", detail]])
    item.append(Object.assign(document.createElement(tag), { textContent: text }))
  $id("journal").prepend(item)
  while ($id("journal").children.length > 50) $id("journal").lastChild.remove()
}

const Pages = Spine.Controller.sub({
  elements: { tbody: "rows", "form input": "title" },
  events: { "submit form": "add", "click #rollback": "rollback" },

  init() {
    this.shown = new Map()
    this.table = new Table(this.rows[0], {
      rename: (id, title) => title.trim() && Page.find(id).updateAttributes({ title: title.trim() }),
      remove: id => Page.find(id).destroy(),
    })
    Page.bind("refresh change", this.proxy(this.render))
    Page.bind("ajaxError", (record, xhr) => this.tell(xhr.responseJSON?.error ?? "The server cannot be reached. Nothing was changed there."))
    Page.bind("ajaxSuccess", () => this.tell(""))
    this.el.find("form :disabled, #rollback").prop("disabled", false)
  },

  add(event) {
    event.preventDefault()
    Page.create({ title: this.title.val(), edited_by: user })
    this.title.val("")
  },

  async rollback() {
    const { inserted } = await send("POST", rollback, {})
    $id("rollback-result").textContent = `${inserted} INSERTed, ${ghosts} arrived.`
  },

  tell(sentence) {
    $id("notice").textContent = sentence
    $id("notice").hidden = !sentence
  },

  render() {
    const pages = Page.all().map(page => this.same(page.attributes()))
    // A new page has its place when the server has answered.
    this.table.show(pages.sort((a, b) => (a.position ?? Infinity) - (b.position ?? Infinity) || a.id - b.id))
    $id("empty").hidden = pages.length > 0
  },

  /** The object of the last time, where nothing has changed, as the table wants it. */
  same(page) {
    const before = this.shown.get(page.id)
    if (before && JSON.stringify(before) === JSON.stringify(page)) return before
    this.shown.set(page.id, page)
    return page
  },
})
