import { defineConfig } from 'tsup'
import { base } from '../../tsup.base.js'

export default defineConfig({
  ...base,
  entry: {
    index: 'src/index.ts',
    wire: 'src/wire.ts',
    digest: 'src/digest.ts',
    'digest.node': 'src/digest.node.ts',
    ed25519: 'src/ed25519.ts',
    'ed25519.node': 'src/ed25519.node.ts',
  },
  // Whoever loads or bundles the built package chooses the platform, not this build.
  external: ['#digest', '#ed25519'],
})
