/** What the adapters share, and those of them that need no page: one use of a channel from its beginning to its end. */

import assert from "node:assert/strict"
import { test } from "node:test"
import { createElement } from "react"
import { renderToString } from "react-dom/server"
import { effectScope, nextTick, ref } from "vue"
import { useCollection as useInReact } from "../../sqla_realtime/client/react.js"
import { collection as storeOf } from "../../sqla_realtime/client/svelte.js"
import { useCollection as useInVue } from "../../sqla_realtime/client/vue.js"
import { LOADING, stateOf, watch } from "../../sqla_realtime/client/watch.js"
import { change, FakeServer, livePages, settle } from "./fake-server.mjs"

const asked = server => server.take().filter(({ type }) => type.endsWith("subscribe"))

/** Lets the second go by that a channel may be kept after its last user. */
async function rest(server) {
  server.pass(1_000)
  await settle()
}

async function live(channels) {
  const server = new FakeServer()
  const client = server.connect()
  client.collection("kept")
  await server.accept()
  server.snapshot("e.1", { kept: [] })
  server.take()
  const answer = rows => server.snapshot("e.1", rows ?? channels)
  return { server, client, answer }
}

test("a state is the same object until something in it changes", async () => {
  const { server, pages } = await livePages()
  const before = stateOf(pages)
  assert.equal(stateOf(pages), before)
  assert.deepEqual([before.rows.length, before.status, before.error], [2, "live", null])
  server.push({ commit: "e.2", changes: [change("update", "pages", { id: 1, title: "First one!" })] })
  const after = stateOf(pages)
  assert.notEqual(after, before)
  assert.equal(after.rows[1], before.rows[1])
  server.drop()
  assert.deepEqual([stateOf(pages).status, stateOf(pages).rows === after.rows], ["stale", true])
})

test("watching tells each state once, and of a client joins and leaves", async () => {
  const { server, client, answer } = await live({ pages: [{ id: 1 }] })
  const told = []
  const end = watch(client, "pages", state => told.push(state))
  await settle()
  assert.deepEqual(asked(server).map(({ type, channels }) => [type, channels]), [["subscribe", ["pages"]]])
  answer()
  server.push({ commit: "e.2", changes: [change("destroy", "pages", { id: 1 })] })
  assert.deepEqual(told.map(({ status, rows }) => [status, rows.length]), [["loading", 0], ["live", 1], ["live", 0]])
  end()
  end()
  await rest(server)
  assert.deepEqual(asked(server).map(({ type, channels }) => [type, channels]), [["unsubscribe", ["pages"]]])
})

test("a channel is kept while anybody watches it", async () => {
  const { server, client, answer } = await live({ pages: [] })
  const ends = [watch(client, "pages", () => {}), watch(client, "pages", () => {})]
  await settle()
  answer()
  server.take()
  ends[0]()
  await rest(server)
  assert.deepEqual(asked(server), [])
  ends[1]()
  await rest(server)
  assert.equal(asked(server).length, 1)
})

test("a collection that is watched is not closed by it", async () => {
  const { server, pages } = await livePages()
  server.take()
  let state
  watch(pages, undefined, now => (state = now))()
  await rest(server)
  assert.deepEqual([state.rows, asked(server)], [pages.rows, []])
})

for (const name of [null, undefined, false, ""])
  test(`without a name (${JSON.stringify(name)}) nothing is joined`, async () => {
    const { server, client } = await live()
    const told = []
    watch(client, name, state => told.push(state))()
    await settle()
    assert.deepEqual([told, asked(server)], [[LOADING], []])
  })

test("a refusal is a state", async () => {
  const { server, client } = await live()
  const told = []
  watch(client, "secrets", state => told.push(state))
  await settle()
  const [{ id }] = asked(server)
  server.push({ type: "error", id, channel: "secrets", code: "forbidden", message: "No." })
  assert.deepEqual([told.at(-1).status, told.at(-1).error.code], ["refused", "forbidden"])
})

test("React on a server joins nothing", async () => {
  const { server, client } = await live()
  const Pages = () => createElement("p", null, useInReact(client, "pages").status)
  assert.equal(renderToString(createElement(Pages)), "<p>loading</p>")
  await rest(server)
  assert.deepEqual(asked(server), [])
})

test("Vue follows a name that changes, and leaves with its scope", async () => {
  const { server, client, answer } = await live()
  const scope = effectScope()
  const name = ref("a")
  const { rows, status } = scope.run(() => useInVue(client, name))
  await settle()
  answer({ a: [{ id: 1 }] })
  assert.deepEqual([rows.value, status.value], [[{ id: 1 }], "live"])
  server.take()
  name.value = "b"
  await nextTick()
  await settle()
  answer({ b: [{ id: 2 }] })
  assert.deepEqual(rows.value, [{ id: 2 }])
  await rest(server)
  assert.deepEqual(asked(server).flatMap(({ channels }) => channels).sort(), ["a", "b"])
  scope.stop()
  await rest(server)
  assert.deepEqual(asked(server).map(({ type, channels }) => [type, channels]), [["unsubscribe", ["b"]]])
})

test("a Svelte store joins with its first subscriber and leaves with its last", async () => {
  const { server, client, answer } = await live()
  const pages = storeOf(client, "pages")
  await settle()
  assert.deepEqual(asked(server), [])
  const seen = { rows: [], status: [] }
  const ends = [pages.subscribe(rows => seen.rows.push(rows.length)), pages.status.subscribe(now => seen.status.push(now))]
  await settle()
  assert.equal(asked(server).length, 1)
  answer({ pages: [{ id: 1 }] })
  assert.deepEqual([seen.rows.at(-1), seen.status], [1, ["loading", "live"]])
  for (const end of ends) end()
  await rest(server)
  assert.deepEqual(asked(server).map(({ type }) => type), ["unsubscribe"])
})
