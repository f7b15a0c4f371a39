import { defineConfig } from 'tsup'
import { base } from '../../tsup.base.js'

export default defineConfig({
  ...base,
  entry: {
    index: 'src/index.ts',
    proto: 'src/proto.ts',
    wire: 'src/wire.ts',
    'blake3-native': 'src/blake3-native.node.ts',
    'blake3-wasm': 'src/blake3-wasm.ts',
    'blake3-platform.node': 'src/blake3-platform.node.ts',
    'blake3-platform.browser': 'src/blake3-platform.browser.ts',
  },
  publicDir: 'src/generated/public',
  // The platform is chosen by whoever loads or bundles the built package, not here.
  external: ['#blake3'],
})
