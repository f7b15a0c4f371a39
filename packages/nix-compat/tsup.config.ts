import { defineConfig } from 'tsup'
import { base } from '../../tsup.base.js'

export default defineConfig({
  ...base,
  entry: {
    index: 'src/index.ts',
    wire: 'src/wire.ts',
    digest: 'src/digest.ts',
    'digest.node': 'src/digest.node.ts',
  },
  // Whoever loads or bundles the built package chooses the platform, not this build.
  external: ['#digest'],
})
