/** pusher-js of today. It has no rows to begin with: they are fetched, as the guide's page does, and events follow behind. */

import { Handler, arrived, start } from "./spine.js"

const { port, key } = document.getElementById("spine").dataset
const STATES = { connected: "live", connecting: "connecting", failed: "refused" }

const PusherHandler = Handler.sub({
  init(key, options) {
    this.loads = 0
    this.pusher = new Pusher(key, options)
    this.pusher.connection.bind("state_change", ({ current }) => this.show(STATES[current] ?? "offline"))
    // While there is no server it would wait longer and longer.
    this.pusher.connection.bind("unavailable", () => {
      this.pusher.disconnect()
      this.pusher.connect()
    })
    // Juggernaut's page calls it "/observer". Pusher's prefix says that whoever is there is seen.
    this.channel = this.pusher.subscribe("presence-observer")
    for (const type of ["create", "update", "destroy"]) this.channel.bind(type, change => this.take({ type, ...change }))
    for (const event of ["pusher:subscription_succeeded", "reset"]) this.channel.bind(event, () => this.load())
    this.channel.bind("pusher:subscription_error", () => this.show("refused"))
    for (const event of ["subscription_succeeded", "member_added", "member_removed"])
      this.channel.bind(`pusher:${event}`, () => this.people())
  },

  /** Whoever was away has missed what was committed meanwhile. What comes before the rows do is newer, or in them already. */
  load() {
    const number = ++this.loads
    this.early = []
    $.getJSON(Page.url)
      .done(rows => number === this.loads && this.loaded(rows))
      .fail(() => setTimeout(() => number === this.loads && this.load(), 1000))
  },

  loaded(rows) {
    const early = this.early
    this.early = null
    arrived(`GET ${Page.url}`, `${rows.length} row${rows.length === 1 ? "" : "s"}`, "all of them")
    Page.refresh(rows, { clear: true })
    for (const change of early) this.take(change)
  },

  take(change) {
    if (this.early) this.early.push(change)
    // It was deleted again before the rows were read.
    else if (change.type === "update" && !Page.exists(change.id)) this.process({ ...change, type: "create" })
    else this.process(change)
  },

  people() {
    const { members } = this.channel
    const here = document.getElementById("here")
    here.replaceChildren(`${members.count} ${members.count === 1 ? "person" : "people"} here`)
    members.each(({ info: { name } }) => {
      const avatar = Object.assign(document.createElement("span"), { className: "avatar", title: name, textContent: name[0] })
      avatar.dataset.name = name
      here.append(avatar)
    })
  },

  headers() {
    return { "X-Socket-ID": this.pusher.connection.socket_id }
  },
})

const options = {
  cluster: "", // which is of no use where a host is given, but has to be there
  wsHost: location.hostname,
  wsPort: port,
  httpHost: location.hostname,
  httpPort: port,
  forceTLS: false,
  enabledTransports: ["ws", "xhr_streaming", "xhr_polling"], // none with TLS, which it would try after a while
  unavailableTimeout: 2000,
  channelAuthorization: { endpoint: "/pusher/auth", transport: "ajax" },
}
start(new PusherHandler(key, options))
