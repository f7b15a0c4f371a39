import { platformBlake3 } from '#blake3'
import type { Blake3 } from './blake3-interface.js'

export type { Blake3, Blake3Hasher } from './blake3-interface.js'

/**
 * BLAKE3 as this platform does it best: native where the addon loads, else WebAssembly. Chosen when the module loads, usable at
 * once. Both give equal results.
 */
export const blake3: Blake3 = platformBlake3
