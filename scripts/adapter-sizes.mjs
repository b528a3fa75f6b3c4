/** What each adapter costs: the lines of its file, and the bytes that it adds to a bundle, minified and gzipped. */

import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"
import { build } from "esbuild"

const folder = fileURLToPath(new URL("../sqla_realtime/client/", import.meta.url))
export const ADAPTERS = ["react", "vue", "svelte", "dom", "element"]

// What a bundle has anyway: the framework and the client.
const OTHERS = ["react", "vue", "./realtime.js"]

async function bundled(name, external) {
  const entryPoints = [`${folder}${name}.js`]
  const options = { bundle: true, minify: true, format: "esm", target: "es2022", write: false }
  const { outputFiles } = await build({ entryPoints, external, ...options })
  return gzipSync(outputFiles[0].contents, { level: 9 }).length
}

/**
 * `bytes` are with what all adapters share. The custom element stands on another adapter, whose bytes only `total` has, too.
 * @param {string} name
 */
export async function sizeOf(name) {
  const lines = readFileSync(`${folder}${name}.js`, "utf8").trimEnd().split("\n").length
  return { lines, bytes: await bundled(name, [...OTHERS, "./dom.js"]), total: await bundled(name, OTHERS) }
}
