import type { Node } from '@neve/castore-model'
import { Errno, FilesystemError } from '../errno.js'

/** Whose names the digests are told under. The reference knows only the second. */
export type AttributePrefix = 'neve' | 'tvix' | 'snix'

const ALL: readonly AttributePrefix[] = ['neve', 'tvix', 'snix']
const KINDS = { directory: 'directory', file: 'blob' } as const

/** Digests as extended attributes (spec 05 section 6). */
export class DigestAttributes {
  readonly #names: Record<'directory' | 'blob', readonly string[]>

  constructor(prefixes: readonly AttributePrefix[] = ALL) {
    const named = (kind: string) => prefixes.map((prefix) => `user.${prefix}.castore.${kind}.digest`)
    this.#names = { directory: named('directory'), blob: named('blob') }
  }

  /**
   * The value of an attribute.
   *
   * @param node undefined for the root
   * @throws FilesystemError ENODATA when it has no such attribute
   */
  get(node: Node | undefined, name: Uint8Array): Uint8Array {
    if (node === undefined || node.kind === 'symlink') throw new FilesystemError(Errno.ENODATA)
    if (!this.#names[KINDS[node.kind]].includes(Buffer.from(name).toString('latin1'))) {
      throw new FilesystemError(Errno.ENODATA)
    }
    return Buffer.from(String(node.digest))
  }

  /** All names, each with a NUL behind it. */
  list(node: Node | undefined): Uint8Array {
    if (node === undefined || node.kind === 'symlink') return new Uint8Array(0)
    return Buffer.from(this.#names[KINDS[node.kind]].map((name) => `${name}\0`).join(''))
  }
}
