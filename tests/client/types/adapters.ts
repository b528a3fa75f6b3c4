/** The same for the adapters, by the names that a bundler's users import: each line marked so is an error. */

import { connect } from "sqla-realtime"
import { renderRows } from "sqla-realtime/dom"
import { RealtimeList } from "sqla-realtime/element"
import { presence, type Member, type Room } from "sqla-realtime/presence"
import { useCollection as useReact } from "sqla-realtime/react"
import { collection } from "sqla-realtime/svelte"
import { useCollection as useVue } from "sqla-realtime/vue"

interface Page {
  id: number
  title: string
}

const client = connect()
const pages = client.collection<Page>("projects/5/pages")

const react = useReact<Page>(client, "projects/5/pages")
const titles: string[] = react.rows.map(page => page.title)
const joined: string[] = useReact(pages).rows.map(page => page.title)
useReact(client, null)
// @ts-expect-error: a channel's name is text
useReact(client, 5)
// @ts-expect-error: nothing to read from
useReact("projects/5/pages")
// @ts-expect-error: a row has no such field
react.rows[0].name
// @ts-expect-error: rows are only read
react.rows.push({ id: 1, title: "First" })
// @ts-expect-error: there is no such status
react.status === "open"

const vue = useVue<Page>(client, () => "projects/5/pages")
const first: string = vue.rows.value[0].title
// @ts-expect-error: a ref's rows are in its value
vue.rows.map(String)
// @ts-expect-error: a row has no such field
vue.rows.value[0].name
// @ts-expect-error: a getter of the wrong type
useVue(client, () => 5)

const store = collection<Page>(client, "projects/5/pages")
const end: () => void = store.subscribe(rows => rows[0].title.trim())
store.status.subscribe(status => status === "live")
// @ts-expect-error: a store's rows come to a subscriber
store.rows
// @ts-expect-error: a row has no such field
store.subscribe(rows => rows[0].name)
// @ts-expect-error: a status is no array
store.status.subscribe(status => status.map(String))

const template = document.querySelector("template")!
const stop: () => void = renderRows<Page>(template, client, "projects/5/pages", { sort: (a, b) => a.id - b.id })
// @ts-expect-error: it is a template
renderRows(document.body, client, "projects/5/pages")
// @ts-expect-error: an order is a number
renderRows<Page>(template, client, "projects/5/pages", { sort: (a, b) => a.title })
// @ts-expect-error: unknown option
renderRows(template, client, "projects/5/pages", { order: "title" })

RealtimeList.client = client
// @ts-expect-error: a client, not its address
RealtimeList.client = "wss://live.example/realtime/ws"

const room: Room<{ name: string }> = presence(client, "rooms/5")
const names: string[] = room.members.map(({ info }) => info.name)
room.on("join", (member: Member<{ name: string }>) => member.id)
const sent: Promise<void> = room.send("typing", { on: true })
const quiet: () => void = room.on("event:typing", ({ from, data }) => from.trim() + data.on)
// @ts-expect-error: there is no such event
room.on("typing", () => {})
// @ts-expect-error: a member has no such field
room.members[0].name
// @ts-expect-error: members are only read
room.members.pop()
// @ts-expect-error: a room is of a client
presence("rooms/5")

export { names, quiet, sent }
export { end, first, joined, stop, titles }
