import { writeU32 } from '@neve/embedded-store/record'
import type { TreeTokens } from './file-tasks-protocol.js'

/** What a step takes beside names, targets and contents, at the most, in bytes. */
const STEP_ROOM = 1024
const NOTHING = new Uint8Array(0)

/**
 * Lays contents into a slot, each where the stream of the tree has it, and the rest of that stream around them; without
 * tokens the contents alone. All lengths are multiples of 8: memory that is shared is copied several times as fast where
 * both ends are aligned alike.
 */
export class StreamFramer {
  readonly #out: Buffer
  readonly #tokens: TreeTokens | undefined
  /** How a node begins that has a name, and how one ends: what follows each other always is written at once. */
  readonly #regularEntry: Uint8Array
  readonly #executableEntry: Uint8Array
  readonly #closeEntry: Uint8Array
  /** How much of the slot is used, in bytes. */
  length = 0

  constructor(out: Buffer, tokens: TreeTokens | undefined) {
    this.#out = out
    this.#tokens = tokens
    this.#regularEntry = joined(tokens?.node, tokens?.regular)
    this.#executableEntry = joined(tokens?.node, tokens?.executable)
    this.#closeEntry = joined(tokens?.close, tokens?.close)
  }

  /** Whether a step with so many bytes of name, target and content has room. */
  fits(length: number): boolean {
    return this.length + length + STEP_ROOM <= this.#out.length
  }

  /** @param name of all steps: empty for the root, which is no entry */
  enter(name: Uint8Array): void {
    const tokens = this.#entry(name)
    if (tokens === undefined) return
    if (name.length > 0) this.#token(tokens.node)
    this.#token(tokens.directory)
  }

  leave(root: boolean): void {
    if (this.#tokens !== undefined) this.#close(this.#tokens, root)
  }

  symlink(name: Uint8Array, target: Uint8Array): void {
    const tokens = this.#entry(name)
    if (tokens === undefined) return
    if (name.length > 0) this.#token(tokens.node)
    this.#token(tokens.symlink)
    this.#string(target)
    this.#close(tokens, name.length === 0)
  }

  /** What comes before the content of a file, which then begins at `length`. */
  fileStart(name: Uint8Array, size: number, executable: boolean): void {
    const tokens = this.#entry(name)
    if (tokens === undefined) return
    if (name.length > 0) this.#token(executable ? this.#executableEntry : this.#regularEntry)
    else this.#token(executable ? tokens.executable : tokens.regular)
    this.#size(size)
  }

  /** Keeps `inSlot` bytes of content, all or none, and writes what comes after them. */
  fileEnd(name: Uint8Array, size: number, inSlot: number): void {
    this.length += inSlot
    if (inSlot > 0 || this.#tokens !== undefined) this.#fill(size)
    if (this.#tokens !== undefined) this.#close(this.#tokens, name.length === 0)
  }

  #entry(name: Uint8Array): TreeTokens | undefined {
    const tokens = this.#tokens
    if (tokens === undefined || name.length === 0) return tokens
    this.#token(tokens.entry)
    this.#string(name)
    return tokens
  }

  #close({ close }: TreeTokens, root: boolean): void {
    this.#token(root ? close : this.#closeEntry)
  }

  #token(token: Uint8Array): void {
    this.#out.set(token, this.length)
    this.length += token.length
  }

  #size(size: number): void {
    writeU32(this.#out, this.length, size)
    writeU32(this.#out, this.length + 4, size / 2 ** 32)
    this.length += 8
  }

  #string(bytes: Uint8Array): void {
    this.#size(bytes.length)
    for (let i = 0; i < bytes.length; i++) this.#out[this.length++] = bytes[i]!
    this.#fill(bytes.length)
  }

  /** Zeros, so that `length` bytes become a multiple of 8. */
  #fill(length: number): void {
    for (let left = (8 - (length % 8)) % 8; left > 0; left--) this.#out[this.length++] = 0
  }
}

function joined(first: Uint8Array = NOTHING, second: Uint8Array = NOTHING): Uint8Array {
  return Buffer.concat([first, second])
}
