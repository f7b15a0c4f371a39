import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type ObjectStore, openObjectStore } from '@neve/castore-services/object-store'
import type { StorePath } from '@neve/nix-compat'
import { openStore, type Store, verifyPaths } from '@neve/store-pathinfo'
import { expect } from 'vitest'

export const HOUR = 3_600_000
export const DAY = 24 * HOUR

/** A store in a folder of files, whose objects can be made to look old. */
export class ObjectStoreFolder implements AsyncDisposable {
  private constructor(
    readonly folder: string,
    readonly objects: ObjectStore,
  ) {}

  static async create(): Promise<ObjectStoreFolder> {
    const folder = await mkdtemp(join(tmpdir(), 'neve-object-gc-'))
    return new ObjectStoreFolder(folder, await openObjectStore(`file://${folder}/store`))
  }

  get address(): string {
    return `objectstore+file://${this.folder}/store`
  }

  /** A service has caches: a new one knows what is stored, and nothing else. */
  open(): Promise<Store> {
    return openStore(this.address)
  }

  /** Imports files by their paths and contents. */
  async import(name: string, files: Readonly<Record<string, string | Uint8Array>>) {
    const tree = join(this.folder, 'trees', name)
    for (const [path, content] of Object.entries(files)) {
      await mkdir(dirname(join(tree, path)), { recursive: true })
      await writeFile(join(tree, path), content)
    }
    await using store = await this.open()
    return await store.importPath(tree, { name })
  }

  /** Has one store path reference another. */
  async reference(from: StorePath, to: StorePath): Promise<void> {
    await using store = await this.open()
    const info = (await store.pathInfos.get(from.digest))!
    await store.pathInfos.put({ ...info, references: [to] }, { overwrite: true })
  }

  /** Makes all objects that are there look as if they had been written so long ago. */
  async age(milliseconds: number, below = ''): Promise<void> {
    const then = new Date(Date.now() - milliseconds)
    const root = join(this.folder, 'store', below)
    for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) await utimes(join(entry.parentPath, entry.name), then, then)
    }
  }

  async keys(prefix = ''): Promise<string[]> {
    return keysOf(this.objects, prefix)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.objects.close?.()
    await rm(this.folder, { recursive: true })
  }
}

export async function keysOf(store: ObjectStore, prefix = ''): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of store.list(prefix)) keys.push(key)
  return keys.sort()
}

/** Expects that everything that a path stands for is there and sound, NAR included. */
export async function expectWhole(store: Store, digests: readonly Uint8Array[], label = ''): Promise<void> {
  let seen = 0
  for await (const { damages } of verifyPaths(store, digests, { nar: true })) {
    expect(damages, label).toEqual([])
    seen++
  }
  expect(seen, label).toBe(digests.length)
}
