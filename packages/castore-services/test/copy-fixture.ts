import { B3Digest, Directory, type Node, PathComponent, SymlinkTarget } from '@neve/castore-model'
import { type BlobService, CastoreError, type DirectoryService } from '@neve/castore-services'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import type { CopyServices } from '@neve/castore-services/copy'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { expect } from 'vitest'
import { SeededRandom } from '../src/contract/random.js'
import { contentOf } from './host-tree.js'

export const memoryServices = (): CopyServices => ({
  blobs: new MemoryBlobService(),
  directories: new MemoryDirectoryService(),
})

/** A tree in memory: text is a file's content, an object a directory. */
export interface Tree {
  readonly [name: string]: string | Uint8Array | Tree | { readonly link: string }
}

/** Stores a tree as an ingestion does, and gives its root. */
export async function store(services: CopyServices, tree: Tree): Promise<Directory> {
  const closure: Directory[] = []
  const build = async (folder: Tree): Promise<Directory> => {
    const entries: (readonly [PathComponent, Node])[] = []
    for (const [name, item] of Object.entries(folder)) {
      entries.push([PathComponent.from(name), await nodeOf(item)])
    }
    const directory = Directory.fromEntries(entries)
    closure.push(directory)
    return directory
  }
  const nodeOf = async (item: Tree[string]): Promise<Node> => {
    if (typeof item === 'string' || item instanceof Uint8Array) {
      const content = Buffer.from(item)
      const digest = await services.blobs.put(content)
      return { kind: 'file', digest, size: BigInt(content.length), executable: content.length % 2 === 1 }
    }
    if (typeof item['link'] === 'string') {
      return { kind: 'symlink', target: SymlinkTarget.from(item['link']) }
    }
    return (await build(item as Tree)).toNode()
  }
  const root = await build(tree)
  await using putter = services.directories.putMultipleStart()
  for (const directory of closure) await putter.put(directory)
  await putter.close()
  return root
}

/** A tree of many small files and some large ones, with folders and contents that appear several times. */
export function sampleTree(seed: number): Tree {
  const random = new SeededRandom(seed)
  const shared: Tree = { same: 'the same content', deep: { deeper: { deepest: `leaf of ${seed}` } } }
  const tree: Record<string, Tree[string]> = {
    shared,
    again: { shared, other: 'the same content' },
    empty: '',
    nothing: {},
    link: { link: '../elsewhere' },
    large: random.bytes(1_500_000),
    larger: random.bytes(3_000_000),
  }
  for (let folder = 0; folder < 8; folder++) {
    const files: Record<string, Tree[string]> = {}
    for (let file = 0; file < 9; file++) files[`file ${file}`] = random.bytes(random.between(0, 4000))
    tree[`folder ${folder}`] = files
  }
  return tree
}

/** Everything that can be read below a root, as text to compare. A hole throws. */
export async function readClosure(services: CopyServices, root: B3Digest): Promise<string[]> {
  const found: string[] = []
  for await (const directory of services.directories.getRecursive(root)) {
    found.push(`directory ${directory.digest()}`)
    for (const { node } of directory.entries) {
      if (node.kind !== 'file') continue
      const content = await contentOf(services.blobs, node.digest)
      found.push(`blob ${B3Digest.of(content)} ${content.length}`)
    }
  }
  return [...new Set(found)].sort()
}

/** What was called, and what is to happen with each call. */
export class Calls {
  readonly counts = new Map<string, number>()
  total = 0
  running = 0
  most = 0
  /** Called before each. */
  before: (name: string, total: number) => void = () => {}

  count(...names: string[]): number {
    return names.reduce((sum, name) => sum + (this.counts.get(name) ?? 0), 0)
  }

  call<T>(name: string, run: () => T): T {
    this.counts.set(name, this.count(name) + 1)
    this.total++
    this.before(name, this.total)
    const result = run()
    if (result instanceof Promise) {
      this.running++
      this.most = Math.max(this.most, this.running)
      void result.catch(() => undefined).then(() => this.running--)
    }
    return result
  }
}

/** The same services, with every call counted; those of putters and writers too. */
export function counted({ blobs, directories }: CopyServices): CopyServices & { readonly calls: Calls } {
  const calls = new Calls()
  const watch = <T extends object>(target: T, prefix: string): T =>
    new Proxy(target, {
      get(object, name) {
        const value: unknown = Reflect.get(object, name, object)
        if (typeof value !== 'function') return value
        if (typeof name !== 'string') return value.bind(object)
        return (...args: unknown[]) =>
          calls.call(`${prefix}.${name}`, () => {
            const result: unknown = value.apply(object, args)
            if (name === 'openWrite') return watch(result as object, 'writer')
            if (name === 'putMultipleStart') return watch(result as object, 'putter')
            return result
          })
      },
    })
  return { blobs: watch(blobs, 'blobs'), directories: watch(directories, 'directories'), calls }
}

/** Directories that answer for the roots of uploads only (spec 03 section 11), and take no single ones with children. */
export function rootsOnly(inner: DirectoryService, root: B3Digest): DirectoryService {
  return {
    get: async (digest, options) => (digest.equals(root) ? inner.get(digest, options) : undefined),
    put: async (directory, options) => {
      for (const _ of directory.directories()) throw new CastoreError('invalid-request', 'only closures')
      return inner.put(directory, options)
    },
    getRecursive: (digest, options) => inner.getRecursive(digest, options),
    putMultipleStart: (options) => inner.putMultipleStart(options),
  }
}

/** The same blobs with some calls answered otherwise. */
export function altered(blobs: BlobService, changes: Partial<BlobService>): BlobService {
  return new Proxy(blobs, {
    get(object, name) {
      const value: unknown = Reflect.get(name in changes ? changes : object, name)
      return typeof value === 'function' ? value.bind(object) : value
    },
  })
}

/** The error with which that fails, which is an `Error`. */
export async function failureOf(doing: Promise<unknown>): Promise<Error> {
  const outcome = await doing.then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(outcome).toBeInstanceOf(Error)
  return outcome as Error
}
