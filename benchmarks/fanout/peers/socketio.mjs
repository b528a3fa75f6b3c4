/** socket.io on node: emit() to a room; socketio.mjs CHANNELS. */
import { createServer } from "node:http"
import { Server } from "socket.io"
import { control, message } from "./control.mjs"

const channels = Number(process.argv[2])
let published = 0

const http = createServer()
const io = new Server(http, { transports: ["websocket"], pingInterval: 3600e3, pingTimeout: 3600e3, serveClient: false })
io.on("connection", socket => socket.join(socket.handshake.query.channel))

function publish(burst, stamp) {
  for (let index = 0; index < burst; index++) io.to(String(published++ % channels)).emit("m", message(stamp))
}

http.listen(0, "127.0.0.1", 4096, () => control(http.address().port, publish))
