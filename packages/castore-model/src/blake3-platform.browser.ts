import type { Blake3 } from './blake3-interface.js'
import { wasmBlake3 } from './blake3-wasm.js'

/** Browsers: WebAssembly. */
export const platformBlake3: Blake3 = wasmBlake3
