/** node's ws: send() to each connection in a loop; ws.mjs CHANNELS. */
import { createServer } from "node:http"
import { WebSocketServer } from "ws"
import { control, message } from "./control.mjs"

const channels = Array.from({ length: Number(process.argv[2]) }, () => new Set())
let published = 0

function publish(burst, stamp) {
  for (let index = 0; index < burst; index++) {
    const text = Buffer.from(message(stamp))
    for (const socket of channels[published % channels.length]) socket.send(text, { binary: false })
    published++
  }
}

const http = createServer()
const server = new WebSocketServer({ server: http, perMessageDeflate: false })
server.on("connection", (socket, request) => {
  const members = channels[Number(request.url.slice(1))]
  members.add(socket)
  socket.on("close", () => members.delete(socket))
  socket.on("error", () => members.delete(socket))
})
http.listen(0, "127.0.0.1", 4096, () => control(http.address().port, publish))
