import {
  type ByteInput,
  type ByteSink,
  ByteSource,
  MemorySink,
  openPacket,
  type PacketReader,
  showBytes,
  writeAll,
} from '@neve/nix-compat/wire'
import { Archive, type NarReaderOptions } from './archive.js'
import { compareNames, nameFault, targetFault } from './names.js'
import { NarError } from './nar-error.js'
import { NAR_TOKENS } from './tokens.js'

export type NarNode =
  | { kind: 'symlink'; target: Uint8Array }
  | { kind: 'file'; executable: boolean; content: NarFile }
  | { kind: 'directory'; entries: NarDirectory }

/** `name` and a symlink's target are the caller's own bytes. */
export interface NarEntry {
  name: Uint8Array
  node: NarNode
}

const FILE_TRAILER = {
  pattern: Uint8Array.from([...new Uint8Array(8), ...NAR_TOKENS.close]),
  text: 'zero padding, then ")"',
}

/**
 * Begins to read an archive (spec 09 section 5) and returns its root node. Nothing behind the archive is read: pass
 * a `ByteSource` to go on with what follows, or `assertEnd` to make sure that nothing does.
 *
 * All objects of the archive share its source, and only the one opened last and not read to its end may be used:
 * files and directories are finished before anything above them goes on. Breaking that rule is `misuse`; it and
 * every other error spoil the archive, and then each call on any of its objects is `misuse`. Malformed archives are
 * `invalid-data`, truncated ones `unexpected-eof`, both `NarError` with the offset in the archive; errors of the
 * source pass through. At most one name, one target and one chunk of the source are held, whatever the archive says.
 */
export async function openNar(input: ByteInput, options: NarReaderOptions = {}): Promise<NarNode> {
  const archive = new Archive(ByteSource.from(input), options)
  try {
    if (!archive.takeNow(NAR_TOKENS.magic)) {
      await archive.take('the archive\'s opening, "nix-archive-1" "(" "type"', NAR_TOKENS.magic)
    }
    return await readNode(archive, 0)
  } catch (error) {
    throw archive.poison(error)
  }
}

/**
 * Refuses bytes behind an archive (spec 09 section 4.4): for whoever owns the whole stream. `invalid-data` if
 * anything but the end follows.
 */
export async function assertEnd(source: ByteSource): Promise<void> {
  while (source.buffered === 0) if (!(await source.pull())) return
  source.window(Math.min(source.buffered, 16))
  throw new NarError('invalid-data', 'bytes after the archive', {
    offset: source.position,
    expected: 'end of stream',
    actual: showBytes(source.buffer.subarray(source.offset, source.offset + 16)),
  })
}

async function readNode(archive: Archive, depth: number): Promise<NarNode> {
  const token = nodeTokenNow(archive) ?? (await nodeToken(archive))
  if (token === NAR_TOKENS.directory) {
    return { kind: 'directory', entries: new NarDirectory(archive, depth) }
  }
  if (token === NAR_TOKENS.symlink) return { kind: 'symlink', target: await readTarget(archive) }
  const packet = await openPacket(archive.source, { trailer: FILE_TRAILER })
  return {
    kind: 'file',
    executable: token === NAR_TOKENS.executable,
    content: new NarFile(archive, packet),
  }
}

function nodeTokenNow(archive: Archive): Uint8Array | undefined {
  if (archive.takeNow(NAR_TOKENS.regular)) return NAR_TOKENS.regular
  if (archive.takeNow(NAR_TOKENS.directory)) return NAR_TOKENS.directory
  if (archive.takeNow(NAR_TOKENS.symlink)) return NAR_TOKENS.symlink
  if (archive.takeNow(NAR_TOKENS.executable)) return NAR_TOKENS.executable
  return undefined
}

function nodeToken(archive: Archive): Promise<Uint8Array> {
  const { regular, executable, symlink, directory } = NAR_TOKENS
  return archive.take('a file, a symlink or a directory', regular, executable, symlink, directory)
}

async function readTarget(archive: Archive): Promise<Uint8Array> {
  const start = archive.offset
  const max = archive.maxTargetLength
  const target = archive.bytesNow('symlink target', max) ?? (await archive.bytes('symlink target', max))
  const fault = targetFault(target)
  if (fault !== undefined) {
    const details = { expected: fault, actual: showBytes(target), offset: start + 8n }
    throw new NarError('invalid-data', 'symlink target', details)
  }
  if (!archive.takeNow(NAR_TOKENS.close)) await archive.take('")" after a symlink', NAR_TOKENS.close)
  return target
}

/** A file's content, streamed. */
export class NarFile implements AsyncIterable<Uint8Array> {
  /** Length of the content in bytes. */
  readonly size: bigint
  readonly #archive: Archive
  readonly #packet: PacketReader

  /** @internal */
  constructor(archive: Archive, packet: PacketReader) {
    this.#archive = archive
    this.#packet = packet
    this.size = packet.length
    if (this.size > 0n) archive.open.push(this)
  }

  /** Content bytes not delivered yet. */
  get length(): bigint {
    return this.#packet.length
  }

  /**
   * The next piece of the content, at most `max` bytes; empty at the end (and for `max` 0). A view, good until the
   * next call on the archive. The last bytes come only when padding and closing token were found right, and then
   * the parent may go on.
   */
  async read(max?: number): Promise<Uint8Array> {
    const archive = this.#archive
    if (this.#packet.length === 0n) {
      archive.assertSound()
      return this.#packet.read(0)
    }
    archive.enter(this, 'reading a file')
    try {
      const piece = await this.#packet.read(max)
      if (this.#packet.length === 0n) archive.open.pop()
      archive.leave()
      return piece
    } catch (error) {
      throw archive.poison(error)
    }
  }

  /** Reads to the end and checks, without keeping anything. Does nothing for a finished file. */
  async skip(): Promise<void> {
    while ((await this.read()).length > 0);
  }

  /** Writes the rest of the content to `sink`; a failure of the sink spoils the archive and passes through. */
  async copyTo(sink: ByteSink): Promise<void> {
    for (;;) {
      const piece = await this.read()
      if (piece.length === 0) return
      try {
        await writeAll(sink, piece)
      } catch (error) {
        throw this.#archive.poison(error)
      }
    }
  }

  /** The rest of the content in one buffer of the caller's own; `invalid-data` if it is longer than `max` bytes. */
  async bytes(max: number): Promise<Uint8Array> {
    if (this.length > BigInt(max)) {
      const { offset } = this.#archive
      const details = { expected: `at most ${max} bytes`, actual: `${this.length}`, offset }
      throw this.#archive.poison(new NarError('invalid-data', 'file too large', details))
    }
    const first = await this.read()
    if (this.length === 0n) return first.slice()
    const sink = new MemorySink()
    sink.write(first)
    await this.copyTo(sink)
    return sink.bytes()
  }

  /** The pieces. Stopping early leaves the file unfinished: `skip` it before going on. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    for (;;) {
      const piece = await this.read()
      if (piece.length === 0) return
      yield piece
    }
  }
}

/** A directory's entries, in the order of the archive: ascending by the bytes of their names. */
export class NarDirectory implements AsyncIterable<NarEntry> {
  readonly #archive: Archive
  readonly #depth: number
  #last: Uint8Array | undefined

  /** @internal */
  constructor(archive: Archive, depth: number) {
    this.#archive = archive
    this.#depth = depth
    archive.open.push(this)
  }

  /**
   * The next entry, or null at the end. `misuse` if the last entry's file or directory was not read to its end, and
   * after null was returned.
   */
  async next(): Promise<NarEntry | null> {
    const archive = this.#archive
    archive.enter(this, 'reading a directory')
    try {
      const name = await this.#nextName()
      const entry = name === undefined ? null : { name, node: await readNode(archive, this.#depth + 1) }
      if (entry === null) archive.open.pop()
      archive.leave()
      return entry
    } catch (error) {
      throw archive.poison(error)
    }
  }

  /** Walks over everything that is left and checks it. Does nothing for a finished directory. */
  async skip(): Promise<void> {
    const { open } = this.#archive
    this.#archive.assertSound()
    if (!open.includes(this)) return
    if (open.at(-1) !== this) {
      throw this.#archive.misuse('skipping a directory', 'the turn of this object', 'an unfinished child')
    }
    await this.#drainTo(open.length - 1)
  }

  /**
   * The entries; a child that was left unread is skipped before the next one. Stopping early on the root directory
   * abandons the archive and releases its source; on another one it leaves the directory unfinished.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<NarEntry, void, void> {
    const { open, source } = this.#archive
    this.#archive.assertSound()
    const level = open.indexOf(this)
    if (level < 0) return
    let complete = false
    try {
      for (;;) {
        await this.#drainTo(level + 1)
        const entry = await this.next()
        if (entry === null) break
        yield entry
      }
      complete = true
    } finally {
      if (!complete && this.#depth === 0) {
        this.#archive.poison(new NarError('misuse', 'archive abandoned', { offset: this.#archive.offset }))
        await source.cancel()
      }
    }
  }

  /** Finishes open objects from the top until `level` of them are left. Not recursive: depth is the archive's. */
  async #drainTo(level: number): Promise<void> {
    const { open } = this.#archive
    while (open.length > level) {
      const top = open.at(-1)
      if (top instanceof NarFile) await top.skip()
      else if (top instanceof NarDirectory) await top.next()
    }
  }

  /** The next entry up to its node, or undefined at the end of the directory. */
  async #nextName(): Promise<Uint8Array | undefined> {
    const archive = this.#archive
    const last = this.#last
    if (last !== undefined && !archive.takeNow(NAR_TOKENS.close)) {
      await archive.take('")" after an entry', NAR_TOKENS.close)
    }
    if (!archive.takeNow(NAR_TOKENS.entry)) {
      const token = await archive.take(
        'an entry or the end of the directory',
        NAR_TOKENS.entry,
        NAR_TOKENS.close,
      )
      if (token === NAR_TOKENS.close) return undefined
    }
    const start = archive.offset
    const max = archive.maxNameLength
    const name = archive.bytesNow('entry name', max) ?? (await archive.bytes('entry name', max))
    const fault = nameFault(name) ?? (last !== undefined && compareNames(last, name) >= 0 ? ORDER : undefined)
    if (fault !== undefined) {
      const expected = fault === ORDER ? `a name above ${showBytes(last!)}` : fault
      const details = { expected, actual: showBytes(name), offset: start + 8n }
      throw new NarError('invalid-data', fault === ORDER ? 'entry order' : 'entry name', details)
    }
    this.#last = name
    if (!archive.takeNow(NAR_TOKENS.node)) {
      await archive.take('"node" "(" "type" after a name', NAR_TOKENS.node)
    }
    if (this.#depth + 1 >= archive.maxDepth) {
      throw archive.invalid('nesting', `a depth below ${archive.maxDepth}`, `${this.#depth + 1}`)
    }
    return name
  }
}

const ORDER = 'order'
