/** The types: the modules keep their own, what is shipped is made of them, and a wrong use is an error. */

import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { test } from "node:test"

import { declarations, existing, mistakes } from "../../scripts/types.mjs"

const { made, wrong } = declarations()

test("the modules are strictly typed", () => assert.deepEqual(wrong, []))

test("the declarations beside them are what their JSDoc says", () => {
  assert.deepEqual([...existing().keys()], [...made.keys()].sort(), "run: node scripts/types.mjs")
  for (const [name, text] of existing()) assert.equal(text, made.get(name), `${name}: run: node scripts/types.mjs`)
})

for (const [name, least] of [["uses", 20], ["adapters", 12]])
  test(`${name}: right uses are admitted, each wrong one is an error`, () => {
    const file = fileURLToPath(new URL(`types/${name}.ts`, import.meta.url))
    assert.ok(readFileSync(file, "utf8").split("@ts-expect-error").length > least)
    assert.deepEqual(mistakes(file), [])
  })

test("the package points at them", () => {
  const meta = JSON.parse(readFileSync(new URL("../../sqla_realtime/client/package.json", import.meta.url), "utf8"))
  assert.equal(meta.types, "./realtime.d.ts")
  for (const { types, default: file } of Object.values(meta.exports)) {
    assert.equal(types, file.replace(/\.js$/, ".d.ts"))
    assert.ok(made.has(types.slice(2)), types)
  }
  assert.ok(meta.files.includes("*.d.ts"))
})
