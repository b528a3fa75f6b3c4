/** Juggernaut's client, as the guide has it. Its subscription begins with the rows, and so it does after each reconnect. */

import { Handler, start } from "./spine.js"

const JuggernautHandler = Handler.sub({
  init(options) {
    this.jug = new Juggernaut(options)
    this.jug.on("connect", () => this.show("live"))
    this.jug.on("disconnect", () => this.show("offline"))
    this.jug.subscribe("/observer", this.proxy(this.process))
  },

  headers() {
    return { "X-Session-ID": this.jug.sessionID }
  },
})

start(new JuggernautHandler({ host: location.hostname, port: document.getElementById("spine").dataset.port }))
