/** What a page in TypeScript may do with the client, and what its compiler says no to: each line marked so is an error. */

import { connect, type Client } from "../../../sqla_realtime/client/realtime.js"

interface Page {
  id: number
  title: string
}

const client: Client = connect({
  url: "https://live.example/realtime/ws",
  token: async () => "eyJ...",
  own: "skip",
  transports: ["websocket", "poll"],
})
connect()
connect({ token: "eyJ..." })
connect({ token: () => null })
// @ts-expect-error: unknown option
connect({ tokn: "eyJ..." })
// @ts-expect-error: wrong type of an option
connect({ url: 5 })
// @ts-expect-error: a token is text
connect({ token: () => 5 })
// @ts-expect-error: mark or skip
connect({ own: "hide" })
// @ts-expect-error: no such transport
connect({ transports: ["carrier-pigeon"] })

const pages = client.collection<Page>("projects/5/pages")
const titles: string[] = pages.rows.map(page => page.title)
const page: Page | undefined = pages.get(1) ?? pages.get("1")
const end: () => void = pages.subscribe(rows => rows.map(({ id, title }) => [id.toFixed(), title]))
pages.on("rows", rows => rows[0].title.trim())
pages.on("status", status => status === "refused" && pages.error?.fix?.trim())
pages.on("change", ({ changes, commit, own }) => [changes[0].record?.title.trim(), commit?.trim(), own === true])
// @ts-expect-error: a channel has a name
client.collection()
// @ts-expect-error: which is text
client.collection(5)
// @ts-expect-error: rows are only read
pages.rows = []
// @ts-expect-error: nor can they be added to
pages.rows.push({ id: 1, title: "First" })
// @ts-expect-error: a row has no such field
pages.rows[0].name
// @ts-expect-error: there may be none
pages.get(1).title
// @ts-expect-error: the status is only read
pages.status = "live"
// @ts-expect-error: there is no such status
pages.status === "open"
// @ts-expect-error: the error is only read
pages.error = null
// @ts-expect-error: a callback of the wrong type
pages.subscribe((rows: string[]) => rows.length)
// @ts-expect-error: no callback at all
pages.subscribe("rows")
// @ts-expect-error: an event that there is not
pages.on("changed", () => {})
// @ts-expect-error: what "status" tells is no array
pages.on("status", status => status.map(String))
// @ts-expect-error: a change has no such field
pages.on("change", ({ origin }) => origin)
// @ts-expect-error: a key is text or a number
pages.get({ id: 1 })

client.on("status", status => [status === "live", client.reason.message, client.reason.fix?.trim()])
const transport: "websocket" | "sse" | "poll" | null = client.transport
const response = await fetch("/pages", { method: "POST", headers: client.headers })
await client.reached(response.headers.get("X-Realtime-Position"))
// @ts-expect-error: the client's events are fewer
client.on("rows", () => {})
// @ts-expect-error: the client's status is only read
client.status = "live"
// @ts-expect-error: so is its id
client.connection = "c-..."
// @ts-expect-error: a position is text
client.reached(5)
// @ts-expect-error: it is a promise
client.reached("k3f9.1042").toFixed()

export { end, page, titles, transport }
