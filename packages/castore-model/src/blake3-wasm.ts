import { fromBase64 } from './base64.js'
import type { Blake3, Blake3Hasher } from './blake3-interface.js'
import { HasherFinishedError } from './errors.js'
import { BLAKE3_WASM_BASE64 } from './generated/blake3-wasm-binary.js'

/** What the WebAssembly binary of blake3-wasm exports and this file uses. It takes ownership of input buffers, not of outputs. */
interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer }
  create_hasher(): number
  blake3hash_update(hasher: number, data: number, length: number): void
  blake3hash_digest(hasher: number, out: number, length: number): void
  __wbg_blake3hash_free(hasher: number): void
  __wbindgen_malloc(length: number): number
  __wbindgen_free(pointer: number, length: number): void
}

/** The part of the WebAssembly API used here; browsers and Node have it, the type library of neither is assumed. */
interface WebAssemblyApi {
  Module: new (bytes: Uint8Array) => object
  Instance: new (module: object, imports: object) => { readonly exports: unknown }
}

/** Bounds how far the memory of the instance grows: memory of WebAssembly is never given back. */
const PIECE = 65536

let instance: Exports | undefined

function load(): Exports {
  const api = (globalThis as unknown as { WebAssembly: WebAssemblyApi }).WebAssembly
  const binary = fromBase64(BLAKE3_WASM_BASE64)
  if (binary === undefined) throw new Error('the embedded BLAKE3 module is damaged')
  const imports = {
    wbg: {
      __wbindgen_throw: () => {
        throw new Error('BLAKE3 failed inside WebAssembly')
      },
    },
  }
  return new api.Instance(new api.Module(binary), imports).exports as Exports
}

function update(exports: Exports, hasher: number, data: Uint8Array): void {
  for (let at = 0; at < data.length; at += PIECE) {
    const piece = data.length <= PIECE ? data : data.subarray(at, at + PIECE)
    const pointer = exports.__wbindgen_malloc(piece.length)
    new Uint8Array(exports.memory.buffer).set(piece, pointer)
    exports.blake3hash_update(hasher, pointer, piece.length)
  }
}

function finish(exports: Exports, hasher: number): Uint8Array {
  const pointer = exports.__wbindgen_malloc(32)
  exports.blake3hash_digest(hasher, pointer, 32)
  const digest = new Uint8Array(exports.memory.buffer.slice(pointer, pointer + 32))
  exports.__wbindgen_free(pointer, 32)
  exports.__wbg_blake3hash_free(hasher)
  return digest
}

// A hasher that is dropped without taking its digest would leak in the instance's memory.
const abandoned = new FinalizationRegistry<number>((hasher) => instance?.__wbg_blake3hash_free(hasher))

class WasmHasher implements Blake3Hasher {
  readonly #exports: Exports
  readonly #pointer: number
  #finished = false

  constructor(exports: Exports) {
    this.#exports = exports
    this.#pointer = exports.create_hasher()
    abandoned.register(this, this.#pointer, this)
  }

  update(data: Uint8Array): this {
    if (this.#finished) throw new HasherFinishedError()
    update(this.#exports, this.#pointer, data)
    return this
  }

  digest(): Uint8Array {
    if (this.#finished) throw new HasherFinishedError()
    this.#finished = true
    abandoned.unregister(this)
    return finish(this.#exports, this.#pointer)
  }
}

class WasmBlake3 implements Blake3 {
  readonly implementation = 'wasm'

  digest(data: Uint8Array): Uint8Array {
    instance ??= load()
    const hasher = instance.create_hasher()
    update(instance, hasher, data)
    return finish(instance, hasher)
  }

  hasher(): Blake3Hasher {
    instance ??= load()
    return new WasmHasher(instance)
  }
}

/** The WebAssembly implementation (the binary of blake3-wasm, embedded), instantiated synchronously at its first use. */
export const wasmBlake3: Blake3 = new WasmBlake3()
