import { Path, PathComponent } from '@neve/castore-model'
import type { IngestionEntry, RegularEntry, SymlinkEntry } from '../entries.js'
import { ArchiveError, type ArchiveErrorInit } from './errors.js'

/** What becomes of the names at the top of an archive. */
export type TopLevel = 'strip' | 'keep'

/** Options of an {@link EntryGraph}. */
export interface EntryGraphInit {
  /**
   * `strip`: there is one directory at the top, and it is the tree, whatever its name. `keep`: the tree is what
   * unpacking puts into an empty directory. Default: `strip`.
   */
  readonly topLevel?: TopLevel | undefined
  /** What to do with a path that came before: `replace` what it was, or `refuse` it. Default: `replace`. */
  readonly duplicates?: 'replace' | 'refuse' | undefined
  /** Called with each directory that is made although no entry told of it, as it is made. */
  readonly onImplied?: (() => void) | undefined
}

type GraphLeaf = Omit<RegularEntry, 'path'> | Omit<SymlinkEntry, 'path'>

/** `named`: an entry told of it; else only paths below it. */
interface GraphDirectory {
  readonly kind: 'dir'
  named: boolean
  readonly children: Map<string, GraphChild>
}

interface GraphChild {
  readonly name: PathComponent
  readonly node: GraphDirectory | GraphLeaf
}

/** What an archive has at a path. */
export type GraphNode = { readonly kind: 'dir' } | GraphLeaf

/** Of the tree as it is at the end. */
export interface TreeCounts {
  readonly files: number
  readonly directories: number
  readonly symlinks: number
  /** Bytes of file content. */
  readonly bytes: number
}

/** The name that the root has in the entries that come out; nobody sees it. */
const ROOT = Path.of([PathComponent.from('root')])

/**
 * The tree that an archive describes (spec 06 section 5.2): directories need not be told of, entries come in any order,
 * and what comes later replaces what was there before, with all that lies below it. Of two directories the first is
 * kept, with what is in it.
 */
export class EntryGraph {
  readonly #top = emptyDirectory(true)
  readonly #strip: boolean
  readonly #refuseDuplicates: boolean
  readonly #onImplied: () => void
  #entries = 0

  constructor({ topLevel = 'strip', duplicates = 'replace', onImplied = () => {} }: EntryGraphInit = {}) {
    this.#strip = topLevel === 'strip'
    this.#refuseDuplicates = duplicates === 'refuse'
    this.#onImplied = onImplied
  }

  /**
   * @param about where the entry stands, for errors
   * @throws ArchiveError `top-level` for a second name at the top, `duplicate`
   */
  add(entry: IngestionEntry, about: ArchiveErrorInit = {}): void {
    this.#entries++
    const { components } = entry.path
    const name = components.at(-1)
    // The top itself: nothing to know of it.
    if (name === undefined) return
    let parent = this.#top
    for (const [i, component] of components.slice(0, -1).entries()) {
      if (i === 0) this.#checkTop(component, about)
      parent = this.#directory(parent, component, about)
    }
    if (components.length === 1) this.#checkTop(name, about)
    const before = parent.children.get(name.key)?.node
    if (entry.kind === 'dir' && before?.kind === 'dir') {
      if (before.named) this.#replacing(about)
      before.named = true
      return
    }
    if (before !== undefined) this.#replacing(about)
    parent.children.set(name.key, { name, node: entry.kind === 'dir' ? emptyDirectory(true) : leafOf(entry) })
  }

  /** What there is at a path now; undefined where there is nothing. */
  lookUp(path: Path): GraphNode | undefined {
    let node: GraphDirectory | GraphLeaf = this.#top
    for (const component of path.components) {
      if (node.kind !== 'dir') return undefined
      const child: GraphChild | undefined = node.children.get(component.key)
      if (child === undefined) return undefined
      node = child.node
    }
    return node
  }

  /**
   * The tree as `ingestEntries` takes it: children before their directory, the root last.
   *
   * @throws ArchiveError `top-level` when the archive is empty, or there has to be one directory at the top and is not
   */
  entries(): Generator<IngestionEntry, void, undefined> {
    const [root, path] = this.#root()
    return postOrder(root, path)
  }

  /** @throws as {@link EntryGraph.entries} does */
  counts(): TreeCounts {
    const counts = { files: 0, directories: 0, symlinks: 0, bytes: 0 }
    const waiting: (GraphDirectory | GraphLeaf)[] = [this.#root()[0]]
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      if (node.kind === 'regular') {
        counts.files++
        counts.bytes += Number(node.size)
      } else if (node.kind === 'symlink') counts.symlinks++
      else {
        counts.directories++
        for (const child of node.children.values()) waiting.push(child.node)
      }
    }
    return counts
  }

  #root(): readonly [GraphDirectory, Path] {
    if (this.#entries === 0) throw new ArchiveError('top-level', 'the archive is empty')
    if (!this.#strip) return [this.#top, ROOT]
    const [child] = this.#top.children.values()
    const expected = 'expected one directory at the top of the archive'
    if (child === undefined) throw new ArchiveError('top-level', `${expected}, got nothing`)
    const { name, node } = child
    if (node.kind === 'dir') return [node, Path.of([name])]
    const kind = node.kind === 'regular' ? 'file' : 'symlink'
    throw new ArchiveError('top-level', `${expected}, got the ${kind} '${name}'`)
  }

  /** Checked as soon as it is seen: the rest of the archive is not read for nothing. */
  #checkTop(name: PathComponent, about: ArchiveErrorInit): void {
    if (!this.#strip) return
    const [first] = this.#top.children.values()
    if (first === undefined || first.name.equals(name)) return
    throw new ArchiveError(
      'top-level',
      `expected one directory at the top of the archive, got '${first.name}' and '${name}'`,
      about,
    )
  }

  #directory(parent: GraphDirectory, name: PathComponent, about: ArchiveErrorInit): GraphDirectory {
    const before = parent.children.get(name.key)?.node
    if (before?.kind === 'dir') return before
    if (before !== undefined) this.#replacing(about)
    const node = emptyDirectory(false)
    this.#onImplied()
    parent.children.set(name.key, { name, node })
    return node
  }

  #replacing(about: ArchiveErrorInit): void {
    if (this.#refuseDuplicates)
      throw new ArchiveError('duplicate', 'there was an entry of this path before', about)
  }
}

function emptyDirectory(named: boolean): GraphDirectory {
  return { kind: 'dir', named, children: new Map() }
}

function leafOf(entry: RegularEntry | SymlinkEntry): GraphLeaf {
  if (entry.kind === 'symlink') return { kind: 'symlink', target: entry.target }
  const { kind, size, executable, digest } = entry
  return { kind, size, executable, digest }
}

function* postOrder(root: GraphDirectory, rootPath: Path): Generator<IngestionEntry, void, undefined> {
  const open = [{ path: rootPath, children: root.children.values() }]
  for (let last = open.at(-1); last !== undefined; last = open.at(-1)) {
    const next = last.children.next()
    if (next.done) {
      yield { kind: 'dir', path: last.path }
      open.pop()
      continue
    }
    const { name, node } = next.value
    const path = last.path.join(name)
    if (node.kind === 'dir') open.push({ path, children: node.children.values() })
    else yield { ...node, path }
  }
}
