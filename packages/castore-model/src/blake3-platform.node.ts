import type { Blake3 } from './blake3-interface.js'
import { nativeBlake3 } from './blake3-native.node.js'
import { wasmBlake3 } from './blake3-wasm.js'

/** Node: native when the addon loads. */
export const platformBlake3: Blake3 = nativeBlake3 ?? wasmBlake3
