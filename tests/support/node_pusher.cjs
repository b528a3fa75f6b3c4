// Runs what it is told, a line of JavaScript each, with unmodified pusher-js; whatever say() is given goes out as a line of JSON.
const readline = require("node:readline")
globalThis.Pusher = require("pusher-js")
globalThis.PusherServer = require("pusher")
globalThis.say = (...words) => process.stdout.write(JSON.stringify(words) + "\n")
globalThis.options = port => ({ cluster: "", wsHost: "127.0.0.1", wsPort: port, forceTLS: false, enabledTransports: ["ws"] })
process.on("unhandledRejection", error => say("rejected", String(error)))
readline.createInterface({ input: process.stdin }).on("line", line => (0, eval)(JSON.parse(line)))
