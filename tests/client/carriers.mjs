/** The server's end of each transport, for tests that run on all three: admit, hear what was asked, tell, break off. */

import { FakeServer, settle } from "./fake-server.mjs"

const OWN = 2 ** 52

class Carrier {
  constructor(options) {
    this.server = new FakeServer()
    this.client = this.server.connect({ transports: [this.constructor.transport], ...options })
  }

  /** Snapshots for what was asked last. */
  async snapshot(position, rows) {
    const { id } = this.asked.findLast(message => message.type === "subscribe")
    const channels = Object.entries(rows).map(([channel, records]) => ({
      channel,
      rows: records.map(record => ({ class: "Page", id: String(record.id), record })),
    }))
    await this.tell({ type: "subscribed", id, position, channels })
  }
}

class WebSocketCarrier extends Carrier {
  static transport = "websocket"

  async admit() {
    await this.server.accept()
    this.asked = this.server.take()
    this.hello = this.server.sent[0]
  }

  async more() {
    await settle()
    this.asked = this.server.take()
  }

  async tell(...messages) {
    for (const message of messages) this.server.push(message)
    await settle()
  }

  async cut() {
    this.server.drop()
    await settle()
  }
}

class SseCarrier extends Carrier {
  static transport = "sse"

  get post() {
    return this.server.posts.findLast(post => post.name === "sse")
  }

  async admit() {
    await this.server.loaded(() => this.post && !this.post.ended)
    this.stream = this.post
    ;[this.hello, ...this.asked] = this.stream.body
    await this.stream.stream()
    await this.tell({ type: "hello", connection: this.hello.connection, ping: 25 })
  }

  async more() {
    await settle()
    this.asked = []
    for (let post; (post = this.server.posts.find(post => post.name === "send" && !post.ended)); ) {
      this.asked.push(...post.body.messages)
      await post.answer(204)
    }
  }

  async tell(...messages) {
    for (const message of messages) await this.stream.push(message)
  }

  async cut() {
    await this.stream.end()
  }
}

/** The poll that is under way is answered with what a server that keeps nothing would say to it. */
class PollCarrier extends Carrier {
  static transport = "poll"

  get post() {
    return this.server.posts.findLast(post => post.name === "poll" && !post.ended)
  }

  async admit() {
    await this.server.loaded(() => this.post)
    await this.more()
    this.hello = this.post.body[0]
  }

  async more() {
    await settle()
    this.asked = this.post.body.filter(message => message.type !== "hello" && message.type !== "ping" && !(message.id >= OWN))
  }

  async tell(...messages) {
    const [hello, ...asked] = this.post.body
    const joined = asked.filter(message => message.id >= OWN).map(({ id, channels, after }) => (
      { type: "subscribed", id, position: after, channels: channels.map(channel => ({ channel, recovered: true })) }
    ))
    const known = asked.filter(({ type, tag }) => type === "attend" && tag).map(message => ({ ...message, type: "members" }))
    await this.post.answer(200, [{ type: "hello", connection: hello.connection, ping: 25 }, ...joined, ...known, ...messages])
  }

  async cut() {
    await this.post.fail()
  }
}

export const CARRIERS = [WebSocketCarrier, SseCarrier, PollCarrier]
