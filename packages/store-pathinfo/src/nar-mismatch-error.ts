import { StoreError } from './errors.js'

/**
 * What about a NAR is not as expected:
 * - `size`, `hash`: its length, its SHA-256
 * - `content-address`: the hash that its store path was made from
 * - `type`: a content address of a file, and it is none
 */
export type NarMismatch = 'size' | 'hash' | 'content-address' | 'type'

/** A NAR is another one than was expected (spec 07 section 13.6). */
export class NarMismatchError extends StoreError {
  constructor(
    readonly mismatch: NarMismatch,
    readonly expected: string,
    readonly actual: string,
  ) {
    super(
      'nar-mismatch',
      `the NAR has another ${WORDS[mismatch]}: expected ${expected}, got ${actual}`,
      mismatch,
    )
  }
}

const WORDS: Readonly<Record<NarMismatch, string>> = {
  size: 'size',
  hash: 'hash',
  'content-address': 'content address',
  type: 'type',
}
