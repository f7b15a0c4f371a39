import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Chooses a number from `least` to `most`. */
export type Choose = (least: number, most: number) => number

interface Write {
  readonly sequence: number
  readonly offset: number
  /** Undefined for a change of the length to `offset`. */
  readonly bytes: Buffer | undefined
  /** On the disk when the call returned. */
  readonly synced: boolean
}

interface Naming {
  readonly sequence: number
  readonly changes: readonly (readonly [name: string, node: File | Folder | undefined])[]
}

const NOTHING = Buffer.alloc(0)

/** A file: what is on the disk for certain, and what may be. */
class File {
  #certain: Buffer = NOTHING
  #pending: Write[] = []

  write(write: Write): void {
    this.#pending.push(write)
  }

  sync(upTo: number): void {
    for (const write of this.#pending)
      if (write.sequence <= upTo) this.#certain = applied(this.#certain, write)
    this.#pending = this.#pending.filter(({ sequence }) => sequence > upTo)
  }

  /**
   * What may be found after a power cut: every sector as it was after any of the writes to it since it was synced, and,
   * apart from that, any of the lengths that the file had since.
   */
  after(sector: number, choose: Choose): Buffer {
    const pending = this.#pending
    if (pending.length === 0) return this.#certain
    const states = [this.#certain]
    for (const write of pending) states.push(applied(states.at(-1)!, write))
    const certainUpTo = pending.findLastIndex(({ synced }) => synced) + 1
    const length = states[choose(certainUpTo, pending.length)]!.length
    const result = Buffer.alloc(length)
    for (let at = 0; at < length; at += sector) {
      const touching = pending.flatMap((write, index) => (touches(write, at, sector) ? [index] : []))
      const least = touching.findLastIndex((index) => pending[index]!.synced) + 1
      const chosen = touching.length === 0 ? 0 : choose(least, touching.length)
      const state = states[chosen === 0 ? 0 : touching[chosen - 1]! + 1]!
      if (at < state.length) state.copy(result, at, at, Math.min(at + sector, state.length))
    }
    return result
  }
}

function touches({ offset, bytes }: Write, at: number, sector: number): boolean {
  return offset < at + sector && (bytes === undefined || offset + bytes.length > at)
}

function applied(content: Buffer, { offset, bytes }: Write): Buffer {
  const length = bytes === undefined ? offset : Math.max(content.length, offset + bytes.length)
  const result = Buffer.alloc(length)
  content.copy(result)
  bytes?.copy(result, offset)
  return result
}

/** A folder: its names are on the disk once it was synced; since then, any beginning of what was done to them. */
class Folder {
  readonly now = new Map<string, File | Folder>()
  #certain: ReadonlyMap<string, File | Folder> = new Map()
  #pending: Naming[] = []

  change(naming: Naming): void {
    this.#pending.push(naming)
    rename(this.now, naming)
  }

  sync(upTo: number): void {
    const certain = new Map(this.#certain)
    for (const naming of this.#pending) if (naming.sequence <= upTo) rename(certain, naming)
    this.#certain = certain
    this.#pending = this.#pending.filter(({ sequence }) => sequence > upTo)
  }

  after(choose: Choose): ReadonlyMap<string, File | Folder> {
    const names = new Map(this.#certain)
    for (const naming of this.#pending.slice(0, choose(0, this.#pending.length))) rename(names, naming)
    return names
  }
}

function rename(names: Map<string, File | Folder>, { changes }: Naming): void {
  for (const [name, node] of changes) {
    if (node === undefined) names.delete(name)
    else names.set(name, node)
  }
}

/** A disk that is written as a record of the shim says, step by step, and that may lose its power between any two. */
export class RecordedDisk {
  /** What was promised so far. */
  readonly promises: string[] = []
  readonly #record: Buffer
  readonly #root = new Folder()
  readonly #nodes = new Map<string, File | Folder>()
  readonly #syncs = new Map<string, { readonly node: File | Folder | undefined; readonly upTo: number }>()
  #at = 0
  #sequence = 0

  /** @param inode that of the root */
  constructor(record: Buffer, inode: number) {
    this.#record = record
    this.#nodes.set(String(inode), this.#root)
  }

  /** @returns what was done: the first letter of the record's line, or undefined at its end */
  step(): string | undefined {
    if (this.#at >= this.#record.length) return undefined
    const end = this.#record.indexOf('\n', this.#at)
    const what = this.#record.toString('latin1', this.#at, this.#at + 1)
    const rest = this.#record.toString('utf8', this.#at + 2, end)
    this.#at = end + 1
    this.#sequence++
    this.#do(what, rest)
    return what
  }

  #do(what: string, rest: string): void {
    const [first = '', second = '', third = '', fourth = ''] = rest.split(' ')
    const sequence = this.#sequence
    switch (what) {
      case 'A':
        this.promises.push(rest)
        break
      case 'C':
      case 'D': {
        const node = what === 'C' ? new File() : new Folder()
        this.#nodes.set(first, node)
        this.#name([[rest.slice(first.length + 1), node]])
        break
      }
      case 'W': {
        const bytes = this.#record.subarray(this.#at, this.#at + Number(third))
        this.#at += bytes.length + 1
        this.#file(first).write({ sequence, offset: Number(second), bytes, synced: fourth === '1' })
        break
      }
      case 'T':
        this.#file(first).write({ sequence, offset: Number(second), bytes: undefined, synced: false })
        break
      case 'B':
        this.#syncs.set(first, { node: this.#nodes.get(second), upTo: sequence })
        break
      case 'E': {
        const { node, upTo } = this.#syncs.get(first)!
        node?.sync(upTo)
        break
      }
      case 'L':
      case 'R': {
        const [from, to] = rest.split('\t') as [string, string]
        const node = this.#find(from)
        this.#name(
          what === 'L'
            ? [[to, node]]
            : [
                [from, undefined],
                [to, node],
              ],
        )
        break
      }
      default:
        this.#name([[rest, undefined]])
    }
  }

  /** One change of names in one folder is done whole or not at all. */
  #name(changes: readonly (readonly [path: string, node: File | Folder | undefined])[]): void {
    const folder = this.#find(dirname(changes[0]![0])) as Folder
    folder.change({
      sequence: this.#sequence,
      changes: changes.map(([path, node]) => {
        if (this.#find(dirname(path)) !== folder) throw new Error(`${path} comes from another folder`)
        return [path.slice(path.lastIndexOf('/') + 1), node]
      }),
    })
  }

  #find(path: string): File | Folder {
    let node: File | Folder = this.#root
    for (const name of path.split('/').filter((one) => one !== '')) {
      const next: File | Folder | undefined = node instanceof Folder ? node.now.get(name) : undefined
      if (next === undefined) throw new Error(`${path} is not there`)
      node = next
    }
    return node
  }

  #file(inode: string): File {
    const node = this.#nodes.get(inode)
    if (!(node instanceof File)) throw new Error(`no file has the inode ${inode}`)
    return node
  }

  /** Writes what may be found after a power cut now into a folder. */
  cut(path: string, sector: number, choose: Choose): void {
    const contents = new Map<File, Buffer>()
    const visit = (folder: Folder, at: string): void => {
      mkdirSync(at)
      for (const [name, node] of folder.after(choose)) {
        if (node instanceof Folder) visit(node, join(at, name))
        else {
          // All names of a file show the same.
          const content = contents.get(node) ?? node.after(sector, choose)
          contents.set(node, content)
          writeFileSync(join(at, name), content)
        }
      }
    }
    visit(this.#root, path)
  }
}
