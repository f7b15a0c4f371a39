import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ingestPath } from '@neve/castore-services/ingest/filesystem'
import { describe, expect, it } from 'vitest'
import { SeededRandom } from '../src/contract/random.js'
import { DigestFilter } from '../src/ingest/digest-filter.js'
import { embeddedServices, temporaryFolder } from './embedded-fixture.js'

describe('a filter of digests', () => {
  it('says of none that it is new a second time, and of few that they are not the first time', () => {
    const count = 100_000
    const digests = new SeededRandom(5).bytes(32 * count)
    const filter = new DigestFilter()
    const news = () =>
      Array.from({ length: count }, (_, index) => filter.add(digests, 32 * index)).filter(Boolean).length
    expect(news()).toBeGreaterThan(count * 0.999)
    expect(news()).toBe(0)
  })
})

describe('an import into an empty store', () => {
  it('stores a content once, whether what it has written before is published by then or not', async () => {
    // More than are published at once.
    const distinct = 10_500
    const again = [0, 1, 5000, distinct - 1]
    const root = join(temporaryFolder(), 'tree')
    const content = (index: number) => `content ${index}`
    let bytes = 0
    for (const folder of ['a', 'b', 'z']) mkdirSync(join(root, folder), { recursive: true })
    for (let index = 0; index < distinct; index++) {
      writeFileSync(join(root, 'a', `${index}`), content(index))
      bytes += content(index).length
    }
    for (const index of again) writeFileSync(join(root, 'b', `${index}`), content(index))
    for (const index of again) writeFileSync(join(root, 'z', `${index}`), content(index))
    const services = await embeddedServices()
    try {
      const { files, newBytes } = await ingestPath(services, root)
      expect(files).toBe(distinct + 2 * again.length)
      expect(newBytes).toBe(bytes)
      expect(services.engine.count('content')).toBe(distinct)
    } finally {
      await services.engine.close()
    }
  })
})
