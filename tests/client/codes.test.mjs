/** The generated constants, and which closes are final. */

import assert from "node:assert/strict"
import { test } from "node:test"

import { SUBPROTOCOL, isFinal } from "../../sqla_realtime/client/codes.js"

test("the subprotocol names the version", () => assert.equal(SUBPROTOCOL, "sqla-realtime.v1"))

for (const code of [4400, 4401, 4450, 4499, 1002, 1003, 1007, 1008, 1009, 1010])
  test(`${code} is final`, () => assert.equal(isFinal(code), true))

const comeBack = [1000, 1001, 1004, 1005, 1006, 1011, 1012, 1013, 1015, 4399, 4500, 4501, 4504, 4599]
for (const code of [...comeBack, 44, 440, 44000, 14400, undefined])
  test(`${code} means come back`, () => assert.equal(isFinal(code), false))
