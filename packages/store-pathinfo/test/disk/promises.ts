import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ReadonlyBlobService } from '@neve/castore-services/blob/readonly'
import { StorePath } from '@neve/nix-compat'
import { allPathDigests, ReadonlyPathInfoService, Store, verifyPaths } from '@neve/store-pathinfo'
import { listRoots } from '@neve/store-pathinfo/gc'
import { expect } from 'vitest'
import { openSmallStore } from './scenario.mjs'

/** Opens what the scenario has left behind: it is sound from one end to the other, and keeps what was promised. */
export async function expectPromises(folder: string, promises: readonly string[]): Promise<void> {
  const told = promises.map((text) => text.split(' ') as [string, string])
  const leaving = new Set(told.filter(([what]) => what === 'leaving').map(([, path]) => path))
  const paths = told.filter(([what, path]) => what === 'path' && !leaving.has(path)).map(([, path]) => path)
  const signed = told.filter(([what]) => what === 'signed').map(([, path]) => path)
  const store = await openSmallStore(join(folder, 'store'))
  try {
    await expectSound(store, paths)
    if (promises.includes('root kept')) {
      expect([...listRoots(store.engine!)].map(({ name }) => name)).toContain('kept')
    }
    for (const path of signed) {
      const info = await store.pathInfos.get(StorePath.parse(path).digest)
      expect(info?.signatures.length, `signatures of ${path}`).toBe(1)
    }
  } finally {
    await store.close()
  }
  // One that was interrupted is no store.
  if (!promises.includes('snapshot') && !existsSync(join(folder, 'snapshot', 'FORMAT'))) return
  const snapshot = await openSmallStore(join(folder, 'snapshot'), { readOnly: true })
  try {
    await expectSound(snapshot, [])
    expect(snapshot.engine?.count('pathInfos'), 'path infos in the snapshot').toBeGreaterThan(0)
  } finally {
    await snapshot.close()
  }
}

async function expectSound(store: Store, paths: readonly string[]): Promise<void> {
  // Without the threads that an embedded store starts.
  const { directories, engine } = store
  const blobs = new ReadonlyBlobService(store.blobs)
  const pathInfos = new ReadonlyPathInfoService(store.pathInfos)
  const plain = new Store({ blobs, directories, pathInfos })
  const found = new Set<string>()
  for await (const { storePath, damages } of verifyPaths(plain, allPathDigests({ engine, pathInfos }), {
    nar: true,
  })) {
    expect(damages, `damages of ${storePath}`).toEqual([])
    found.add(String(storePath))
  }
  for (const path of paths) expect(found, 'what was promised').toContain(path)
}
