import type { ByteSource } from './byte-source.js'
import { ArchiveError } from './errors.js'
import { type CheckedLimits, checkLimit } from './limits.js'
import { checkGlobalPax, type PaxRecords, parsePax } from './pax.js'
import { expanded, readGnuMap, readPaxMap, type SparseContext, type SparseMap, sparseName } from './sparse.js'
import { BLOCK, isZeroBlock, parseHeader, type TarHeader, untilNul } from './tar-header.js'

/** One entry of an archive, with everything applied that comes before it to describe it. */
export interface TarEntry {
  readonly type: 'file' | 'directory' | 'symlink' | 'hard-link'
  /** As the archive has it: any bytes. */
  readonly name: Uint8Array
  /** Where its header stands. */
  readonly offset: number
  /** Bytes of content; of a sparse file with its holes. */
  readonly size: number
  readonly executable: boolean
  /** What a link links to, as the archive has it; empty for everything else. */
  readonly linkName: Uint8Array
  /** The bytes of a file, once, before the next entry is asked for. Pieces are valid until the next one is. */
  readonly content: AsyncIterable<Uint8Array>
}

const SLASH = 0x2f
const OWNER_EXECUTE = 0o100

/** What each type flag is. */
const TYPES: Readonly<Record<string, TarEntry['type']>> = {
  '\0': 'file',
  '0': 'file',
  '7': 'file',
  S: 'file',
  '1': 'hard-link',
  '2': 'symlink',
  '5': 'directory',
}

/** What is refused, by its name. */
const REFUSED: Readonly<Record<string, string>> = {
  '3': 'a character device',
  '4': 'a block device',
  '6': 'a FIFO',
  D: 'a directory of an incremental archive',
  M: 'a continuation of a file from another volume',
  V: 'a volume label',
}

/** What came before a header to describe it. */
interface Extensions {
  pax?: PaxRecords
  name?: Uint8Array
  linkName?: Uint8Array
}

/**
 * Reads a tar archive: v7, ustar, PAX and GNU, with their long names, large sizes and sparse files. Strict: what two
 * programs would read in two ways is refused.
 */
export class TarReader {
  readonly #source: ByteSource
  readonly #limits: CheckedLimits
  /** Stored bytes of the entry that was given out last, and the zeros behind them. */
  #left = 0
  #padding = 0
  #current: { readonly entry?: Uint8Array | undefined; readonly offset: number } = { offset: 0 }

  constructor(source: ByteSource, limits: CheckedLimits) {
    this.#source = source
    this.#limits = limits
  }

  /**
   * The next entry. What was not read of the one before is passed over.
   *
   * @returns undefined at the end of the archive, which was then read to its last byte
   * @throws ArchiveError
   */
  async next(): Promise<TarEntry | undefined> {
    await this.#passOver()
    const extensions: Extensions = {}
    for (;;) {
      const header = await this.#header(extensions)
      if (header === undefined) return undefined
      switch (String.fromCharCode(header.type)) {
        case 'x':
          expectFirst(extensions.pax, header)
          extensions.pax = parsePax(await this.#extension(header), header.offset)
          break
        case 'g':
          checkGlobalPax(await this.#extension(header), header.offset)
          break
        case 'L':
          expectFirst(extensions.name, header)
          extensions.name = untilNul(await this.#extension(header))
          break
        case 'K':
          expectFirst(extensions.linkName, header)
          extensions.linkName = untilNul(await this.#extension(header))
          break
        default:
          return this.#entry(header, extensions)
      }
    }
  }

  /** @returns undefined at the end */
  async #header(extensions: Extensions): Promise<TarHeader | undefined> {
    const { offset } = this.#source
    const block = await this.#source.upTo(BLOCK)
    if (block.length > 0 && block.length < BLOCK) {
      throw new ArchiveError('truncated', `expected a header of ${BLOCK} bytes, got ${block.length}`, {
        offset,
      })
    }
    if (block.length > 0 && !isZeroBlock(block)) return parseHeader(block, offset)
    if (extensions.pax !== undefined || extensions.name !== undefined || extensions.linkName !== undefined) {
      throw new ArchiveError('extended-header', 'an extended header without an entry behind it', { offset })
    }
    if (block.length > 0) await this.#end()
    return undefined
  }

  /** Zeros may follow the end: programs write archives in blocks of their own. */
  async #end(): Promise<void> {
    for (;;) {
      const { offset } = this.#source
      const piece = await this.#source.some(65_536)
      if (piece === undefined) return
      const at = piece.findIndex((byte) => byte !== 0)
      if (at < 0) continue
      throw new ArchiveError('trailing-garbage', 'expected nothing but zeros after the end of the archive', {
        offset: offset + at,
      })
    }
  }

  /** The content of a header that describes what follows. */
  async #extension(header: TarHeader): Promise<Uint8Array> {
    const { offset, size } = header
    checkLimit(this.#limits, 'maxHeaderSize', size, 'bytes of an extended header', { offset })
    const content = await this.#source.upTo(size)
    if (content.length < size) throw cutShort({ entry: header.name, offset })
    // A view of the source's memory would not outlive the next read, and the slice of a Buffer is one.
    const own = new Uint8Array(content)
    await this.#skip(padding(size), { entry: header.name, offset })
    return own
  }

  async #entry(header: TarHeader, { pax, name, linkName }: Extensions): Promise<TarEntry> {
    const { offset } = header
    const sparseFile = pax !== undefined && pax.sparse.length > 0
    const entryName = (sparseFile ? sparseName(pax) : undefined) ?? pax?.path ?? name ?? header.name
    const about = { entry: entryName, offset }
    const flag = String.fromCharCode(header.type)
    let type = TYPES[flag]
    if (type === undefined) {
      const what = REFUSED[flag] ?? `an entry of the unknown type ${JSON.stringify(flag)}`
      throw new ArchiveError('entry-type', `${what}, which a tree cannot hold`, about)
    }
    checkLimit(this.#limits, 'maxNameLength', entryName.length, 'bytes of a name', about)
    const link = pax?.linkPath ?? linkName ?? header.linkName
    checkLimit(this.#limits, 'maxNameLength', link.length, 'bytes of a link target', about)
    // Before there was a type for directories, a slash behind the name made one.
    if (type === 'file' && entryName.at(-1) === SLASH) type = 'directory'
    let size = pax?.size ?? header.size
    if (type !== 'file') {
      if (size > 0) {
        throw new ArchiveError(
          'unexpected-content',
          `a ${type.replace('-', ' ')} with ${size} bytes of content`,
          about,
        )
      }
      if (sparseFile) throw new ArchiveError('sparse', `a ${type.replace('-', ' ')} that is sparse`, about)
      return { type, name: entryName, offset, size: 0, executable: false, linkName: link, content: NOTHING }
    }
    this.#left = size
    this.#padding = padding(size)
    this.#current = about
    let map: SparseMap | undefined
    if (flag === 'S' || sparseFile) {
      map = await this.#sparseMap(flag === 'S', header, size, pax, about)
      size = map.realSize
    }
    const executable = (header.mode & OWNER_EXECUTE) !== 0
    const content = this.#content(map, about)
    return { type, name: entryName, offset, size, executable, linkName: link.subarray(0, 0), content }
  }

  async #sparseMap(
    old: boolean,
    header: TarHeader,
    size: number,
    pax: PaxRecords | undefined,
    about: { readonly entry: Uint8Array; readonly offset: number },
  ): Promise<SparseMap> {
    const context: SparseContext = {
      source: this.#source,
      limits: this.#limits,
      about,
      readBlock: async () => {
        const block = await this.#source.upTo(BLOCK)
        if (block.length < BLOCK) throw cutShort(about)
        return block
      },
    }
    if (old) {
      if (pax !== undefined && (pax.sparse.length > 0 || pax.size !== undefined)) {
        throw new ArchiveError('sparse', 'a sparse file that is described in two ways', about)
      }
      return readGnuMap(header, context)
    }
    const { map, taken } = await readPaxMap(pax!, size, context)
    this.#left -= taken
    return map
  }

  #content(
    map: SparseMap | undefined,
    about: { readonly entry: Uint8Array; readonly offset: number },
  ): AsyncIterable<Uint8Array> {
    const take = async (most: number): Promise<Uint8Array> => {
      const piece = await this.#source.some(Math.min(most, this.#left))
      if (piece === undefined) throw cutShort(about)
      this.#left -= piece.length
      return piece
    }
    if (map !== undefined) return expanded(map, take)
    const left = () => this.#left
    return (async function* () {
      while (left() > 0) yield await take(left())
    })()
  }

  async #passOver(): Promise<void> {
    const length = this.#left + this.#padding
    this.#left = 0
    this.#padding = 0
    await this.#skip(length, this.#current)
  }

  async #skip(
    length: number,
    about: { readonly entry?: Uint8Array | undefined; readonly offset: number },
  ): Promise<void> {
    if (length > 0 && (await this.#source.skip(length)) < length) throw cutShort(about)
  }
}

const NOTHING: AsyncIterable<Uint8Array> = {
  [Symbol.asyncIterator]: () => ({ next: async () => ({ done: true, value: undefined }) }),
}

/** Zeros that fill the last block of content. */
function padding(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK
}

function cutShort(about: { readonly entry?: Uint8Array | undefined; readonly offset: number }): ArchiveError {
  return new ArchiveError('truncated', 'the archive ends in the middle of this entry', about)
}

function expectFirst(before: unknown, { offset }: TarHeader): void {
  if (before === undefined) return
  throw new ArchiveError('extended-header', 'two extended headers of one kind for one entry', { offset })
}
