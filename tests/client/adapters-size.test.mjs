/** An adapter is a file that is read in a minute, and costs a page next to nothing. */

import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { ADAPTERS, sizeOf } from "../../scripts/adapter-sizes.mjs"

const LINES = 40
const BYTES = 700

for (const name of ADAPTERS)
  test(`the adapter ${name} fits its budget`, async t => {
    const { lines, bytes, total } = await sizeOf(name)
    const all = total > bytes ? ` (${total} with the adapter that it stands on)` : ""
    t.diagnostic(`${name}: ${lines} of ${LINES} lines, ${bytes} of ${BYTES} bytes${all}, minified and gzip`)
    assert.ok(lines <= LINES, `${lines} lines, ${LINES} at most`)
    assert.ok(bytes <= BYTES, `${bytes} bytes, ${BYTES} at most`)
  })

test("the package offers the client, presence, the adapters and nothing else", () => {
  const url = new URL("../../sqla_realtime/client/package.json", import.meta.url)
  const { exports } = JSON.parse(readFileSync(url, "utf8"))
  assert.deepEqual(Object.keys(exports).sort(), [".", "./presence", ...ADAPTERS.map(name => `./${name}`)].sort())
})
