// A day in the life of a store, over whatever disk there is: everything that writes, once.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { EmbeddedBlobService } from '@neve/castore-services/blob/embedded'
import { EmbeddedDirectoryService } from '@neve/castore-services/directory/embedded'
import { EmbeddedStore } from '@neve/embedded-store'
import { SecretKey } from '@neve/nix-compat'
import { EmbeddedPathInfoService, Store, signStored } from '@neve/store-pathinfo'
import { collectGarbage, setRoot } from '@neve/store-pathinfo/gc'

/** Small, so that one is filled, and the next begun, and some are compacted. */
const SEGMENT_SIZE = 256 * 1024
const TREES = ['kept', 'garbage', 'later']

const bytes = (seed, length) => createHash('shake256', { outputLength: length }).update(seed).digest()

/** Writes what is imported: files of all sizes, some of which are in every tree. */
export function writeTrees(folder) {
  for (const tree of TREES) {
    mkdirSync(join(folder, tree, 'sub', 'deeper'), { recursive: true })
    writeFileSync(join(folder, tree, 'empty'), '')
    writeFileSync(join(folder, tree, 'small'), bytes(tree, 50))
    writeFileSync(join(folder, tree, 'sub', 'shared'), bytes('shared', 3000))
    writeFileSync(join(folder, tree, 'sub', 'page'), bytes(`page ${tree}`, 5000))
    writeFileSync(join(folder, tree, 'sub', 'deeper', 'text'), `${tree}, `.repeat(9000))
    writeFileSync(join(folder, tree, 'large'), bytes(`large ${tree}`, tree === 'garbage' ? 600_000 : 100_000))
  }
}

export async function openSmallStore(path, options) {
  const engine = await EmbeddedStore.open(path, { segmentSize: SEGMENT_SIZE, ...options })
  return new Store({
    blobs: new EmbeddedBlobService(engine),
    directories: new EmbeddedDirectoryService(engine),
    pathInfos: new EmbeddedPathInfoService(engine),
    close: () => engine.close(),
  })
}

/**
 * @param folder where the store and its snapshot are
 * @param promise called with what is acknowledged: `path STORE-PATH`, `root NAME`, `signed STORE-PATH`, `gone STORE-PATH`, `snapshot`
 */
export async function live(folder, trees, promise = () => undefined) {
  const path = join(folder, 'store')
  const key = new SecretKey('test-1', bytes('key', 32))
  let garbage
  await using(path, async (store) => {
    const kept = await store.importPath(join(trees, 'kept'))
    promise(`path ${kept.storePath}`)
    await setRoot(store.engine, { name: 'kept', target: kept.storePath })
    promise('root kept')
    const info = await store.pathInfos.get(kept.storePath.digest)
    await signStored(store.pathInfos, info, [key])
    promise(`signed ${kept.storePath}`)
    garbage = await store.importPath(join(trees, 'garbage'))
    promise(`path ${garbage.storePath}`)
  })
  promise(`leaving ${garbage.storePath}`)
  await collectGarbage(path, { olderThan: 0, share: 0.95, patience: 0 })
  await using(path, async (store) => {
    const target = join(folder, 'snapshot')
    if (!existsSync(target)) {
      await store.engine.snapshot(target)
      promise('snapshot')
    }
    const later = await store.importPath(join(trees, 'later'))
    promise(`path ${later.storePath}`)
  })
  await EmbeddedStore.rebuild(path)
  promise('rebuilt')
}

async function using(path, work) {
  const store = await openSmallStore(path)
  try {
    await work(store)
  } finally {
    await store.close()
  }
}
