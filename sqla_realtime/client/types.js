/** The types of what `connect()` takes and gives; nothing that runs. */

/**
 * @typedef {"websocket" | "sse" | "poll"} TransportName
 * @typedef {import("./machine.js").Reason} Reason
 * @typedef {import("./machine.js").Status} Status
 *
 * @typedef {object} ConnectOptions
 * @property {string} [url] of the server's `/ws`; without it the server of this module
 * @property {import("./connection.js").Options["token"]} [token] a function is asked at each attempt
 * @property {"mark" | "skip"} [own] whether "change" events of own commits have `own: true`, or are left out
 * @property {TransportName[]} [transports] those that may be used, the best one first
 * @property {any} [window] what stands for the browser
 *
 * @typedef {object} ClientFields
 * @property {Status} status
 * @property {Reason} reason a sentence for the status, and what can be done
 * @property {TransportName | null} transport over what it is live
 * @property {string | null} position up to where everything that is live has been applied
 * @property {string} connection the client's id; a secret between it and the server
 * @property {{"X-Realtime-Connection": string}} headers for the page's own writes: `fetch(url, { headers: client.headers, ... })`
 * @property {() => void} open connects now, also after a refusal
 * @property {() => void} close
 * @property {{
 *   (event: "status", fn: (status: Status) => void): () => void
 *   (event: "message", fn: (message: any) => void): () => void
 * }} on calls `fn` now, and when the status or its reason changes; the result ends it. "message" is for modules like presence.js
 * @property {(messages: any[]) => void} send the same: messages of PROTOCOL.md, while it is live
 * @property {(position: string | null | undefined) => Promise<void>} reached waits until what was committed at that position, a
 *   response's `X-Realtime-Position`, has been applied; who waits goes on before listeners are told. Rejects when the client is
 *   closed or refused.
 * @property {<T = any>(name: string) => import("./collection.js").Collection<T>} collection the caller's own, to be closed by
 *   the caller; all of one name share one subscription
 *
 * @typedef {Readonly<ClientFields>} Client
 */

export {}
