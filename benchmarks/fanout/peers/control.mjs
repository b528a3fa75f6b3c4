/** What the peers written in JavaScript share: the message, the control socket that asks for it, and the line that says where. */
import { createServer } from "node:net"

/** 250 bytes of JSON, with the stamp in it. */
export function message(stamp) {
  return `{"at":"@${String(stamp).padStart(20, "0")}","text":"${"x".repeat(208)}"}`
}

/** Listens for requests; each has so many messages published in one turn. Then tells the runner where the server is. */
export function control(port, publish) {
  const server = createServer(peer => {
    let rest = Buffer.alloc(0)
    peer.on("data", data => {
      rest = Buffer.concat([rest, data])
      for (; rest.length >= 16; rest = rest.subarray(16)) publish(Number(rest.readBigUInt64LE(0)), rest.readBigUInt64LE(8))
    })
    peer.on("close", () => process.exit(0))
    peer.on("error", () => process.exit(0))
  })
  server.listen(0, "127.0.0.1", () => {
    console.log(JSON.stringify({ port, control: server.address().port, pids: [process.pid] }))
  })
}
