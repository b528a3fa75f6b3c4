/** Whether a position that somebody waits for has been reached. */

/**
 * @typedef {object} Milestone
 * @property {string} to
 * @property {string | null} from where the client was at the time of the call
 * @property {() => void} resolve
 * @property {(error: Error) => void} reject
 */

/** An epoch and an offset after it, if it is a position. @param {string | null} [position] @returns {string[]} */
export const split = position => /^(.+)\.(\d+)$/.exec(position ?? "") ?? []

/** @param {Milestone} milestone @param {string | null} [here] */
export function isPast({ to, from }, here) {
  const [, epoch, offset] = split(to)
  const [, now, at] = split(here)
  // In a log that began after the call the commit is in the rows that it began with.
  return now === epoch ? Number(at) >= Number(offset) : now !== undefined && now !== split(from)[1]
}
