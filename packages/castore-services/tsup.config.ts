import { existsSync } from 'node:fs'
import { defineConfig } from 'tsup'
import { base } from '../../tsup.base.js'
import manifest from './package.json' with { type: 'json' }

/** Every subpath that package.json exports is an entry of its own: `./blob/memory` is built from `src/blob/memory.ts`. */
const entries = Object.values(manifest.exports)
  .filter((target) => typeof target === 'object')
  .map(({ default: output }) => output.slice('./dist/'.length, -'.js'.length))
  .filter((name) => existsSync(new URL(`./src/${name}.ts`, import.meta.url)))

export default defineConfig({
  ...base,
  entry: Object.fromEntries(entries.map((name) => [name, `src/${name}.ts`])),
  publicDir: 'src/generated/public',
  external: ['vitest'],
})
