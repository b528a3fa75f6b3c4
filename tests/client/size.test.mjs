/** What a page loads stays small: minified and compressed, as a bundler and a server make it. */

import assert from "node:assert/strict"
import { readFileSync, readdirSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { test } from "node:test"
import { gzipSync } from "node:zlib"

import { build } from "esbuild"

const BUDGET = 5 * 1024
// What is loaded when it is needed, so no part of the core; the sentences of trouble.js are loaded behind it.
const LATER = ["trouble.js", "sse.js", "poll.js", "fallback.js"]
const TYPES = "types.js"
const folder = new URL("../../sqla_realtime/client/", import.meta.url)
const read = name => readFileSync(new URL(name, folder), "utf8")
const modules = readdirSync(folder).filter(name => name.endsWith(".js"))
const meta = JSON.parse(read("package.json"))
/** What a page imports: the client, and whatever else the package offers. */
const entries = Object.values(meta.exports).map(offered => offered.default.slice(2))

/** The size of a module with all that it imports statically, and the names of these modules. */
async function measure(name) {
  const { outputFiles, metafile } = await build({
    entryPoints: [fileURLToPath(new URL(name, folder))],
    absWorkingDir: fileURLToPath(folder),
    bundle: true,
    external: LATER.filter(later => later !== name && !(name !== "realtime.js" && later === "fallback.js")).map(later => `./${later}`),
    format: "esm",
    metafile: true,
    minify: true,
    packages: "external",
    write: false,
  })
  return { size: gzipSync(outputFiles[0].contents, { level: 9 }).length, inputs: Object.keys(metafile.inputs) }
}

test("the core fits its budget", async t => {
  const { size, inputs } = await measure("realtime.js")
  t.diagnostic(`core: ${size} of ${BUDGET} bytes, minified and gzip`)
  assert.ok(size <= BUDGET, `${size} bytes, ${BUDGET} at most`)
  assert.deepEqual(inputs.filter(name => LATER.includes(name)), [])
})

for (const [name, budget] of [["trouble.js", 1024], ["sse.js", 1536], ["poll.js", 2048], ["presence.js", 1536]])
  test(`${name} with what only it needs is small, too`, async t => {
    const { size } = await measure(name)
    t.diagnostic(`${name}: ${size} of ${budget} bytes, minified and gzip`)
    assert.ok(size <= budget, `${size} bytes, ${budget} at most`)
  })

test("every module is a part of one of them", async () => {
  const parts = await Promise.all([...entries, ...LATER].map(measure))
  const used = new Set(parts.flatMap(({ inputs }) => inputs))
  assert.deepEqual(modules.filter(name => !used.has(name) && name !== TYPES), [])
})

test("the client loads nothing but itself", async () => {
  for (const name of (await Promise.all(["realtime.js", ...LATER].map(measure))).flatMap(({ inputs }) => inputs))
    for (const [, from, later] of read(name).matchAll(/^import .*?from\s+"([^"]*)"|\bimport\("([^"]*)"\)[.)]/gm))
      assert.ok(modules.includes((from ?? later).slice(2)), `${name}: ${from ?? later}`)
})

for (const name of modules)
  test(`${name} opens with a sentence, is short and runs no text`, () => {
    const source = read(name)
    assert.match(source, /^(\/\*\* [^]*?\. \*\/|\/\/ .*\.)\n/)
    assert.ok(source.split("\n").length <= 250)
    assert.doesNotMatch(source, /\beval\b|new Function|innerHTML|insertAdjacentHTML|document\.write/)
  })

test("the package is a module without dependencies, of which a bundle may leave out what it does not use", async () => {
  assert.equal(meta.type, "module")
  assert.equal(entries[0], "realtime.js")
  const { inputs } = await measure("realtime.js")
  assert.deepEqual([meta.sideEffects].flat().filter(path => path && inputs.includes(path.slice(2))), [])
  assert.notEqual(meta.sideEffects, undefined)
  assert.equal(meta.dependencies, undefined)
})
