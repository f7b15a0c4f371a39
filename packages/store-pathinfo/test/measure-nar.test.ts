import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ingestPath } from '@neve/castore-services/ingest/filesystem'
import { calculateNar, openLocalStore } from '@neve/store-pathinfo'
import { expect, it } from 'vitest'
import { damage } from './damage.js'
import { makeVector, noise } from './host-trees.js'
import { failureOf, temporaryFolder, temporaryStore } from './support.js'

it('a NAR is measured once a root, and known to whoever opens the store later', async () => {
  const folder = temporaryFolder()
  const file = join(folder, 'file')
  writeFileSync(file, noise(50_000))
  const path = join(folder, 'store')
  const store = await openLocalStore(path)
  const { node } = await ingestPath(store, file)
  if (node.kind !== 'file') throw new Error('expected a file')
  const expected = await calculateNar(store, node)
  await store.close()

  // A store that can only be read answers, and remembers nothing.
  const readOnly = await openLocalStore(path, { readOnly: true })
  expect(await readOnly.measureNar(node)).toEqual(expected)
  await readOnly.close()

  const first = await openLocalStore(path)
  expect(await first.measureNar(node)).toEqual(expected)
  // From now on no content is read for it.
  damage(first, node.digest)
  await first.close()
  const second = await openLocalStore(path, { readOnly: true })
  expect(await second.measureNar(node)).toEqual(expected)
  // The same content is another NAR when it is executable.
  expect(await failureOf(() => second.measureNar({ ...node, executable: true }))).toMatchObject({
    code: 'data-loss',
  })
  await second.close()
})

it('a NAR is measured by the import of what is in it', async () => {
  const store = await temporaryStore()
  const { node, narSize, narSha256 } = await store.importPath(makeVector('N-6', 'complicated'))
  expect(store.engine.count('nars')).toBe(1)
  expect(await store.measureNar(node)).toEqual({ narSize, narSha256 })
})
