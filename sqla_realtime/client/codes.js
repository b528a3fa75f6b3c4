// Generated from sqla_realtime/protocol/codes.py; do not edit.
export const SUBPROTOCOL = "sqla-realtime.v1"
const FINAL = [1002, 1003, 1007, 1008, 1009, 1010]
/** Whether a close code means: do not come back. */
export const isFinal = code => (code >= 4400 && code < 4500) || FINAL.includes(code)
