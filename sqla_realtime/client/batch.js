/** Many channels in few messages. */

/**
 * One message for all of one key, or some where that would be more than a message may have: 100 channels, 16 KiB.
 * @template K
 * @param {Iterable<[name: string, key: K]>} wanted
 * @param {(key: K) => any} make a message whose `channels` are empty
 * @returns {any[]}
 */
export function batch(wanted, make) {
  const messages = []
  const open = new Map()
  for (const [name, key] of wanted) {
    const message = open.get(key) ?? make(key)
    if (message.channels.push(name) === 1) messages.push(message)
    if (message.channels.length < 100 && message.channels.join().length < 15_000) open.set(key, message)
    else open.delete(key)
  }
  return messages
}
