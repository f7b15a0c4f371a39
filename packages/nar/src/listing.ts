import { padLength, showBytes } from '@neve/nix-compat/wire'
import { NarError } from './nar-error.js'
import { narEntryHeaderSize, narFileHeaderSize } from './sizes.js'
import { NAR_TOKENS } from './tokens.js'

/** A NAR listing as parsed JSON: what Nix keeps beside a narinfo under `<hash>.ls` (spec 07 section 13.8). */
export interface NarListing {
  readonly version: 1
  readonly root: NarListingNode
}

/** One node of a {@link NarListing}. Offsets and sizes are in bytes. */
export type NarListingNode =
  | {
      readonly type: 'regular'
      readonly size: number
      readonly executable?: true
      /** Where the contents begin in the NAR, even where there are none. */
      readonly narOffset: number
    }
  | { readonly type: 'symlink'; readonly target: string }
  | { readonly type: 'directory'; readonly entries: Readonly<Record<string, NarListingNode>> }

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Writes the listing of an archive as JSON text, with keys in bytewise order and no white space, as Nix does (spec 07
 * section 13.8). It is fed with the steps of {@link NarEncoder}, but for content, and counts the offsets itself. The
 * steps must be those of an archive: order is not checked.
 *
 * Steps with a name or target that is no UTF-8 throw NarError `invalid-data`: JSON cannot hold them.
 */
export class NarListingEncoder {
  readonly #emit: (text: string) => void
  /** For each open directory, whether it has had an entry. */
  readonly #started: boolean[] = []
  #offset = BigInt(NAR_TOKENS.magic.length)

  /** `emit` gets the text piece by piece, some of them a few characters long. */
  constructor(emit: (text: string) => void) {
    this.#emit = emit
    emit('{"root":')
  }

  /** A whole file of `size` bytes. */
  file(executable: boolean, size: bigint): void {
    this.#offset += narFileHeaderSize(executable)
    const marker = executable ? '"executable":true,' : ''
    this.#emit(`{${marker}"narOffset":${this.#offset},"size":${size},"type":"regular"}`)
    this.#offset += size + BigInt(padLength(size))
    this.#nodeDone()
  }

  /** A whole symlink. */
  symlink(target: Uint8Array): void {
    this.#offset += BigInt(NAR_TOKENS.symlink.length + 8 + target.length + padLength(target.length))
    this.#emit(`{"target":${this.#json(target, 'symlink target')},"type":"symlink"}`)
    this.#nodeDone()
  }

  /** Opens a directory. */
  directoryStart(): void {
    this.#offset += BigInt(NAR_TOKENS.directory.length)
    this.#emit('{"entries":{')
    this.#started.push(false)
  }

  /** Opens an entry; its node follows. */
  entry(name: Uint8Array): void {
    const depth = this.#started.length - 1
    this.#emit(`${this.#started[depth] === true ? ',' : ''}${this.#json(name, 'entry name')}:`)
    this.#started[depth] = true
    this.#offset += narEntryHeaderSize(name.length)
  }

  /** Closes a directory. */
  directoryEnd(): void {
    this.#started.pop()
    this.#emit('},"type":"directory"}')
    this.#nodeDone()
  }

  /** Ends the listing, and returns the length of the archive in bytes. */
  finish(): bigint {
    this.#emit(',"version":1}')
    return this.#offset
  }

  /** The node's closing token, and that of the entry which holds it. */
  #nodeDone(): void {
    this.#offset += BigInt(NAR_TOKENS.close.length * (this.#started.length === 0 ? 1 : 2))
  }

  #json(bytes: Uint8Array, what: string): string {
    try {
      return JSON.stringify(decoder.decode(bytes))
    } catch {
      const offset = this.#offset
      throw new NarError('invalid-data', what, { expected: 'UTF-8', actual: showBytes(bytes), offset })
    }
  }
}
