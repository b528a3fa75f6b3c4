import { renderRows } from "sqla-realtime/dom"

export function showPages(template, { client, channel, remove }) {
  return renderRows(template, client, channel, {
    sort: (a, b) => a.position - b.position,
    fill(item, page) {
      const button = item.querySelector("button")
      button.ariaLabel = `Delete ${page.title}`
      button.onclick = () => remove(page)
    },
  })
}
