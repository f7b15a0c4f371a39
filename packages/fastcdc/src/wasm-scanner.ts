import { gearWords } from './gear.js'
import type { Mask } from './masks.js'
import {
  GEAR_OFFSET,
  HASH_OFFSET,
  MASK_OFFSET,
  scanModule,
  WINDOW_OFFSET,
  WINDOW_SIZE,
} from './scan-module.js'
import type { Scanner } from './scanner.js'
import type { WebAssemblyApi } from './webassembly.js'

/** What V8 copies at once at best, in bytes. */
const WORD = 8

interface ScanExports {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly scan: (length: number) => number
}

/** The rolling hash in WebAssembly, which has the 64-bit integers that JavaScript lacks. Data is copied in by the window. */
export class WasmScanner implements Scanner {
  readonly #scan: ScanExports['scan']
  readonly #window: Uint8Array
  readonly #hash: Uint32Array
  readonly #mask: Uint32Array

  /** Throws whatever the runtime throws when it does not let a page compile. */
  constructor({ Module, Instance }: WebAssemblyApi) {
    const { memory, scan } = new Instance(new Module(scanModule())).exports as ScanExports
    const { buffer } = memory
    this.#scan = scan
    this.#window = new Uint8Array(buffer, WINDOW_OFFSET, WINDOW_SIZE)
    this.#hash = new Uint32Array(buffer, HASH_OFFSET, 2)
    this.#mask = new Uint32Array(buffer, MASK_OFFSET, 2)
    new Uint32Array(buffer, GEAR_OFFSET, 512).set(gearWords())
  }

  reset(): void {
    this.#hash.fill(0)
  }

  find(data: Uint8Array, from: number, to: number, mask: Mask): number {
    this.#mask[0] = mask.low
    this.#mask[1] = mask.high
    let length = 0
    for (let start = from; start < to; start += length) {
      // Out of shared memory V8 copies word by word only where both ends are aligned alike, else byte by byte: an
      // eighth of the speed. So the first window ends where the data is aligned as the others are.
      const odd = (data.byteOffset + start) % WORD
      length = Math.min(odd === 0 ? WINDOW_SIZE : WORD - odd, to - start)
      this.#window.set(data.subarray(start, start + length))
      const hit = this.#scan(length)
      if (hit < length) return start + hit
    }
    return -1
  }
}
