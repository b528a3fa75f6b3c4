/** What a page loads stays small, as it is served: with its comments, without a build step. */

import assert from "node:assert/strict"
import { readFileSync, readdirSync } from "node:fs"
import { test } from "node:test"
import { gzipSync } from "node:zlib"

const BUDGET = 5_120
const CORE = ["codes.js", "collection.js", "connection.js", "realtime.js"]
const folder = new URL("../../sqla_realtime/client/", import.meta.url)
const read = name => readFileSync(new URL(name, folder), "utf8")

test("the core modules fit their budget", t => {
  const size = gzipSync(CORE.map(read).join(""), { level: 9 }).length
  t.diagnostic(`core: ${size} of ${BUDGET} bytes, gzip`)
  assert.ok(size <= BUDGET, `${size} bytes, ${BUDGET} at most`)
})

test("the core modules load nothing but each other", () => {
  for (const name of CORE)
    for (const [, from] of read(name).matchAll(/(?:from|import\()\s*"([^"]*)"/g))
      assert.ok(CORE.includes(from.slice(2)), `${name}: ${from}`)
})

for (const name of readdirSync(folder).filter(name => name.endsWith(".js")))
  test(`${name} opens with a sentence, is short and runs no text`, () => {
    const source = read(name)
    assert.match(source, /^(\/\*\* [^]*?\. \*\/|\/\/ .*\.)\n/)
    assert.ok(source.split("\n").length <= 250)
    assert.doesNotMatch(source, /\beval\b|new Function|innerHTML|insertAdjacentHTML|document\.write/)
  })

test("the package is a module without dependencies", () => {
  const meta = JSON.parse(read("package.json"))
  assert.equal(meta.type, "module")
  assert.equal(meta.exports["."], "./realtime.js")
  // Importing this one defines <realtime-list>; all else may be left out of a bundle.
  assert.deepEqual(meta.sideEffects, ["./element.js"])
  assert.equal(meta.dependencies, undefined)
})
