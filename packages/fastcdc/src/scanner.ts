import { HalvesScanner } from './halves-scanner.js'
import type { Mask } from './masks.js'
import { WasmScanner } from './wasm-scanner.js'
import { webAssembly } from './webassembly.js'

/**
 * The rolling hash over one chunk. It carries its state from one `find` to the next, so that a region may be
 * searched in pieces and with changing masks.
 */
export interface Scanner {
  /** Begins a new chunk: the hash is zero again. */
  reset(): void
  /**
   * Hashes data[from, to) and stops at the first byte after which the hash has none of the mask's bits.
   * Returns the position of that byte in `data`, or -1. After a hit only `reset` may follow.
   */
  find(data: Uint8Array, from: number, to: number, mask: Mask): number
}

let shared: Scanner | undefined

/**
 * The scanner of this thread. One is enough: cutting is synchronous, and begins with `reset`. Made on first use, so
 * that importing the package costs nothing.
 */
export function sharedScanner(): Scanner {
  shared ??= createScanner()
  return shared
}

/** The WebAssembly scanner, or the plain one where WebAssembly is missing or a page's policy forbids it. */
export function createScanner(): Scanner {
  const api = webAssembly()
  if (api === undefined) return new HalvesScanner()
  try {
    return new WasmScanner(api)
  } catch {
    return new HalvesScanner()
  }
}
