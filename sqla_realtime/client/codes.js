// Generated from protocol/codes.py; do not edit.
export const SUBPROTOCOL = "sqla-realtime.v1"
/** Whether a close code means: do not come back. @param {unknown} code */
export const isFinal = code => /^(44..|1002|1003|1007|1008|1009|1010)$/.test(String(code))
