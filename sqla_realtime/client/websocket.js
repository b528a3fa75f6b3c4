/** Messages over a WebSocket: the transport that needs nothing but itself. */

import { SUBPROTOCOL } from "./codes.js"

/**
 * What a transport is given, and tells; nothing before the function that opens it has returned.
 * @typedef {object} Line
 * @property {string} url of the WebSocket, to which the others are neighbours
 * @property {any} window
 * @property {() => void} opened a hello can be sent; once more if what is sent no longer arrives
 * @property {(message: any) => void} message one from the server; undefined where it was not JSON
 * @property {(why: {code: number, reason?: string, message?: string}) => void} lost nothing more will come; `code` as a close has it
 *
 * What a transport promises: it decides nothing, keeps the order of messages, and never throws but when it is opened.
 * @typedef {object} Transport
 * @property {boolean} [eager] whether the first subscribes are sent together with the hello, which begins everything anew
 * @property {number} [patience] how many milliseconds the answer to a hello may take, if not ten seconds
 * @property {(messages: any[]) => void} send
 * @property {() => void} close
 */

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text)
  } catch {}
}

/** @param {Line} line @returns {Transport} */
export function openWebSocket({ url, window, opened, message, lost }) {
  const socket = new window.WebSocket(url, SUBPROTOCOL)
  socket.onopen = opened
  socket.onmessage = (/** @type {any} */ { data }) => message(parse(data))
  socket.onclose = lost
  // Some send no close event.
  socket.onerror = () => socket.readyState === 3 && lost({ code: 1006 })
  return {
    send: messages => messages.forEach(one => socket.send(JSON.stringify(one))),
    close: () => socket.close(),
  }
}
