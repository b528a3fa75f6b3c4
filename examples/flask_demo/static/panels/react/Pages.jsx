import { useCollection } from "sqla-realtime/react"

export function Pages({ client, channel, remove }) {
  const { rows, status, error } = useCollection(client, channel)
  if (status === "refused") return <p role="alert">{error.message}</p>
  return (
    <ul data-status={status}>
      {rows.toSorted((a, b) => a.position - b.position).map(page => (
        <li key={page.id}>
          <span>{page.title}</span> <small>{page.edited_by}</small>
          <button aria-label={`Delete ${page.title}`} onClick={() => remove(page)}>×</button>
        </li>
      ))}
    </ul>
  )
}
