import { openPacket, openPacketNow, padLength, showBytes } from '@neve/nix-compat/wire'
import type { Archive } from './archive.js'
import { compareNames, nameFault, targetFault } from './names.js'
import { NarError } from './nar-error.js'
import { NarFile } from './nar-file.js'
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

const FILE_PACKET = {
  trailer: {
    pattern: Uint8Array.from([...new Uint8Array(8), ...NAR_TOKENS.close]),
    text: 'zero padding, then ")"',
  },
}

/** No entry is longer up to its file's content: tokens, the longest name, and what an empty file ends with. */
const ENTRY_SPAN = 512

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
      let entry: NarEntry | null | undefined = this.#nextNow()
      if (entry === undefined) {
        const name = await this.#nextName()
        entry = name === undefined ? null : { name, node: await readNode(archive, this.#depth + 1) }
        if (entry === null) archive.open.pop()
      }
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
    if (this.#last !== undefined && !archive.takeNow(NAR_TOKENS.close)) {
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
    const max = archive.maxNameLength
    const name = archive.bytesNow('entry name', max) ?? (await archive.bytes('entry name', max))
    this.#judge(name)
    if (!archive.takeNow(NAR_TOKENS.node)) {
      await archive.take('"node" "(" "type" after a name', NAR_TOKENS.node)
    }
    this.#last = name
    this.#descend()
    return name
  }

  /**
   * The next entry if all of it up to the content has been fetched, without a promise: small files are bound by
   * these. Else undefined, and nothing has been consumed.
   */
  #nextNow(): NarEntry | undefined {
    const archive = this.#archive
    const { source } = archive
    const mark = source.offset
    if (source.buffer.length - mark < ENTRY_SPAN) return undefined
    const name =
      (this.#last === undefined || archive.takeNow(NAR_TOKENS.close)) && archive.takeNow(NAR_TOKENS.entry)
        ? archive.bytesNow('entry name', archive.maxNameLength)
        : undefined
    if (name !== undefined) {
      this.#judge(name)
      if (archive.takeNow(NAR_TOKENS.node)) {
        this.#descend()
        const node = readNodeNow(archive, this.#depth + 1)
        if (node !== undefined) {
          this.#last = name
          return { name, node }
        }
      }
    }
    source.offset = mark
    return undefined
  }

  /** Checks a name that has just been consumed. */
  #judge(name: Uint8Array): void {
    const last = this.#last
    const fault = nameFault(name)
    if (fault === undefined && (last === undefined || compareNames(last, name) < 0)) return
    const offset = this.#archive.offset - BigInt(name.length + padLength(name.length))
    const expected = fault ?? `a name above ${showBytes(last!)}`
    const what = fault === undefined ? 'entry order' : 'entry name'
    throw new NarError('invalid-data', what, { expected, actual: showBytes(name), offset })
  }

  /** Checks the depth of the node that comes next. */
  #descend(): void {
    const { maxDepth } = this.#archive
    if (this.#depth + 1 < maxDepth) return
    throw this.#archive.invalid('nesting', `a depth below ${maxDepth}`, `${this.#depth + 1}`)
  }
}

/** Reads a node's token, and of a symlink all, of a file the size. */
export async function readNode(archive: Archive, depth: number): Promise<NarNode> {
  const token = nodeTokenNow(archive) ?? (await nodeToken(archive))
  if (token === NAR_TOKENS.directory) {
    return { kind: 'directory', entries: new NarDirectory(archive, depth) }
  }
  if (token === NAR_TOKENS.symlink) return { kind: 'symlink', target: await readTarget(archive) }
  const packet = await openPacket(archive.source, FILE_PACKET)
  return {
    kind: 'file',
    executable: token === NAR_TOKENS.executable,
    content: new NarFile(archive, packet),
  }
}

/** `readNode` if all of a file's or directory's opening is at hand; symlinks are left to `readNode`. */
function readNodeNow(archive: Archive, depth: number): NarNode | undefined {
  const token = nodeTokenNow(archive)
  if (token === NAR_TOKENS.directory) {
    return { kind: 'directory', entries: new NarDirectory(archive, depth) }
  }
  if (token === undefined || token === NAR_TOKENS.symlink) return undefined
  const packet = openPacketNow(archive.source, FILE_PACKET)
  if (packet === undefined) return undefined
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
