import type { Options } from 'tsup'

/** What every package's build has in common: ESM with types, one output file for each entry, nothing bundled from dependencies. */
export const base: Options = {
  format: ['esm'],
  target: 'node20',
  dts: true,
  sourcemap: true,
  splitting: true,
  treeshake: true,
}
