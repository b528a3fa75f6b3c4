/** When a channel is live for the first time, when it is again, and how many commits were then replayed to it. */

/** `caughtUp` is told the position that the page had, the one that it has now, and how many commits came to get there. */
export function watchLife(client, pages, { first, again, caughtUp }) {
  let lived = false
  let left = null // the position that it had when it went away; null while it is here
  let replayed = null // counted in the breath in which it is live again, which is when all of them come

  pages.on("status", () => {
    if (pages.status !== "live") {
      if (lived) left ??= client.position
    } else if (!lived) {
      lived = true
      first()
    } else if (left) {
      const [after, until] = [left, client.position]
      left = null
      replayed = 0
      again()
      queueMicrotask(() => {
        caughtUp(after, until, replayed)
        replayed = null
      })
    }
  })
  pages.on("change", () => {
    if (replayed !== null) replayed++
  })
}
