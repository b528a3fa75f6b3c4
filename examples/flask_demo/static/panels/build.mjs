/**
 * Bundles the panels that need it into built/, and writes down what each adapter costs.
 *
 * node build.mjs [--development] [--out FOLDER]: for development the frameworks check more, and React mounts twice.
 */

import { mkdir, readFile, writeFile } from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import { parseArgs } from "node:util"
import { build } from "esbuild"
import { compile } from "svelte/compiler"
import { compileScript, parse } from "vue/compiler-sfc"
import { ADAPTERS, sizeOf } from "../../../../scripts/adapter-sizes.mjs"

const here = import.meta.dirname
const { values: options } = parseArgs({ options: { development: { type: "boolean" }, out: { type: "string" } } })
const out = options.out ?? join(here, "built")
const mode = options.development ? "development" : "production"

/** Vue's and Svelte's own compilers, as their users' bundlers run them. */
const compilers = {
  name: "compilers",
  setup({ onLoad }) {
    onLoad({ filter: /\.vue$/ }, async ({ path }) => {
      const { descriptor, errors } = parse(await readFile(path, "utf8"), { filename: path })
      if (errors.length) return { errors: errors.map(({ message }) => ({ text: message })) }
      return { contents: compileScript(descriptor, { id: basename(path), inlineTemplate: true }).content, resolveDir: dirname(path) }
    })
    onLoad({ filter: /\.svelte$/ }, async ({ path }) => {
      const { js, warnings } = compile(await readFile(path, "utf8"), { filename: path, dev: !!options.development })
      return { contents: js.code, warnings: warnings.map(({ message }) => ({ text: message })), resolveDir: dirname(path) }
    })
  },
}

await mkdir(out, { recursive: true })
const { warnings } = await build({
  entryPoints: { react: join(here, "react/mount.jsx"), vue: join(here, "vue/mount.js"), svelte: join(here, "svelte/mount.js") },
  outdir: out,
  bundle: true,
  minify: !options.development,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  conditions: ["svelte", "browser", mode],
  define: {
    "process.env.NODE_ENV": JSON.stringify(mode),
    __VUE_OPTIONS_API__: "false",
    __VUE_PROD_DEVTOOLS__: "false",
    __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: "false",
  },
  plugins: [compilers],
})
if (warnings.length) process.exit(1)
const sizes = await Promise.all(ADAPTERS.map(async name => [name, await sizeOf(name)]))
await writeFile(join(out, "sizes.json"), JSON.stringify(Object.fromEntries(sizes)))
