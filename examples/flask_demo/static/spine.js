/** The guide's application: Spine's models, a handler of Juggernaut's messages, and a list that is drawn anew when they change. */

const root = document.getElementById("spine")

window.Page = Spine.Model.sub()
Page.configure("Page", "title", "edited_by")
Page.extend(Spine.Model.Ajax)
Page.url = root.dataset.url

// What others commit. None of it goes back to the server.
const JuggernautHandler = Spine.Class.sub({
  init(options) {
    this.jug = new Juggernaut(options)
    this.jug.subscribe("/observer", message => Spine.Ajax.disable(() => this.process(message)))
  },

  process({ type, class: name, id, record }) {
    const model = window[name]
    if (!model) throw new Error(`Unknown class: ${name}`)
    if (type === "create") model.exists(record.id) || model.create(record)
    else if (type === "update") model.update(id, record)
    else if (type === "destroy") model.destroy(id)
  },
})

const handler = (window.handler = new JuggernautHandler({ host: location.hostname, port: root.dataset.port }))

$.ajaxSetup({
  beforeSend(xhr) {
    // What this window writes is in it already, so it is not sent that again.
    xhr.setRequestHeader("X-Session-ID", handler.jug.sessionID)
    // Spine leaves it out where it has nothing to say, and the demo takes JSON alone.
    xhr.setRequestHeader("Content-Type", "application/json")
  },
})

const Pages = Spine.Controller.sub({
  elements: { ul: "list", "form input": "title" },
  events: { "submit form": "add", "change li input": "rename", "click li button": "remove" },

  init() {
    Page.bind("refresh change", this.proxy(this.render))
  },

  add(event) {
    event.preventDefault()
    Page.create({ title: this.title.val() })
    this.title.val("")
  },

  rename(event) {
    this.page(event).updateAttributes({ title: event.target.value })
  },

  remove(event) {
    this.page(event).destroy()
  },

  page(event) {
    return Page.find($(event.target).closest("li").data("page"))
  },

  render() {
    this.list.empty().append(
      Page.all().map(page =>
        $("<li>").data("page", page.id).append(
          $("<input class=title>").attr({ maxlength: 120, "aria-label": "Title" }).val(page.title),
          $("<span class=soft>").text(page.edited_by ?? ""),
          $("<button type=button>").text("Delete"),
        ),
      ),
    )
  },
})

new Pages({ el: root })
