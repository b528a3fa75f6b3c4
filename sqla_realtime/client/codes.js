/** The wire's constants, generated from sqla_realtime/protocol/codes.py. */

export const SUBPROTOCOL = "sqla-realtime.v1"

export const CLOSE = Object.freeze({
  "bad-messages": 4400,
  "restarting": 4500,
  "token-expired": 4501,
  "slow-consumer": 4502,
  "hello-timeout": 4503,
  "too-many-connections": 4504,
})

/** Do not come back? */
export const isFinal = code => /^(44..|100[23789]|1010)$/.test(code)
