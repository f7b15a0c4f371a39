import { describe, expect, it } from 'vitest'
import { cannotMount, FixtureMount, users } from './mount/fixture-mount.js'

const name = (index: number) => `entry-${String(index).padStart(6, '0')}`
/** Room for one entry or a few, the usual, and more than the kernel asks for at once. */
const BUFFERS = [64, 512, 32_768, 1_048_576]

describe.skipIf(cannotMount).each(users)('listings in a mount by $name', (user) => {
  it.each([1000, 10_000, 100_000])(
    '05#28 has %i names of the root, each once and in order',
    async (count) => {
      const mount = await FixtureMount.open(user, { generatedRoots: count, listRoot: true })
      const buffers = count > 10_000 ? BUFFERS.slice(2) : BUFFERS
      for (const buffer of buffers) {
        const { value } = await mount.one('summary', '', buffer)
        expect(value).toMatchObject({ count, different: count, ordered: true })
      }
      await mount.unmount()
    },
    120_000,
  )

  it('05#31 has every entry of a directory of 100,000, with its type, however it is read', async () => {
    const count = 100_000
    const mount = await FixtureMount.open(user, { generatedDirectory: count })
    const outcomes = await mount.look(...BUFFERS.map((buffer) => ['summary', 'wide', buffer] as const))
    for (const { value } of outcomes) {
      expect(value).toMatchObject({ count, different: count, ordered: true })
    }
    const listing = await mount.one('listing', 'wide')
    const types = (listing.value as [string, string][]).map(([, type]) => type)
    expect([...new Set(types)]).toEqual(['file'])
    await mount.unmount()
  }, 120_000)

  it.each([
    ['the root', { generatedRoots: 5000, listRoot: true }, ''],
    ['a directory', { generatedDirectory: 5000 }, 'wide'],
  ])('goes on with %s from any place', async (_, spec, path) => {
    const count = 5000
    const mount = await FixtureMount.open(user, spec)
    const places = [0, 1, 2, 227, 228, 229, 1023, 1024, 1025, 2500, 4998, 4999, 5000]
    const [resumed] = await mount.look(['resumed', path, places, 4096])
    expect(resumed?.value).toEqual(places.map((place) => [place < count ? name(place) : null, count - place]))
    await mount.unmount()
  })

  it.each([
    ['the root', { generatedRoots: 5000, listRoot: true }, ''],
    ['a directory', { generatedDirectory: 5000 }, 'wide'],
  ])('05#28 begins again with %s, beside another listing', async (_, spec, path) => {
    const mount = await FixtureMount.open(user, spec)
    expect(await mount.one('rewound', path)).toEqual({ value: { again: 5000, rest: 5000, same: true } })
    await mount.unmount()
  })

  it('05#29 lists what there is before it fails, and ends what is given up', async () => {
    const mount = await FixtureMount.open(user, { generatedRoots: 2000, listRoot: true })
    await mount.tell('set', { listFailsAfter: 700 })
    expect(await mount.one('failingListing', '')).toEqual({ value: { count: 700, error: 'EIO' } })
    expect((await mount.one('stat', name(1999))).value).toMatchObject({ kind: 'file' })
    await mount.tell('set', { listFailsAfter: 1e9, listingsClosed: 0 })
    expect(await mount.one('peeked', '')).toEqual({ value: true })
    // The kernel tells of a closed listing after close(2) has returned.
    while ((await mount.stats()).handles > 0);
    expect(await mount.stats()).toMatchObject({ listingsClosed: 1 })
    await mount.unmount()
  })
})

describe.skipIf(cannotMount || users[0]?.uid !== 0)('what the kernel forgets', () => {
  it('is forgotten: ten walks of 100,000 entries leave nothing behind', async () => {
    const mount = await FixtureMount.open(users[0]!, { generatedTree: 1000, listRoot: true })
    for (let walk = 0; walk < 10; walk++) {
      expect(await mount.one('walked', '')).toEqual({ value: 100_001 })
      const full = await mount.stats()
      expect(full.nodes).toBe(100_001)
      mount.forgetAll()
      // FORGETs are told of, not waited for.
      while ((await mount.stats()).nodes > 0);
      expect(await mount.stats()).toMatchObject({ nodes: 0, folders: 0, handles: 0, faults: [] })
    }
    await mount.unmount()
  }, 300_000)
})
