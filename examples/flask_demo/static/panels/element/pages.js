import { RealtimeList } from "sqla-realtime/element"

export function preparePages(list, { client, remove }) {
  RealtimeList.client = client // without it, one of its own
  list.addEventListener("row", ({ detail: { element, row } }) => {
    const button = element.querySelector("button")
    button.ariaLabel = `Delete ${row.title}`
    button.onclick = () => remove(row)
  })
}
