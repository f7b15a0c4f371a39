import { describe, expect, it } from 'vitest'
import { makeRandomTree } from './host-trees.js'
import { collect, nixIsThere, privateNix, temporaryStore } from './support.js'

it('nix-store is there, where it is required', ({ skip }) => {
  if (!nixIsThere && process.env['NEVE_TEST_REQUIRE'] !== 'all') skip('nix-store is not installed')
  expect(nixIsThere).toBe(true)
})

describe.skipIf(!nixIsThere)('09 section 16 nix-store', () => {
  it.each([101, 102])('names a random tree as we do, and dumps the same bytes: %i', async (seed) => {
    const nix = privateNix()
    const store = await temporaryStore()
    const path = makeRandomTree(seed, 200)
    const { storePath } = await store.importPath(path)
    expect(`${storePath.toAbsolute()}\n`).toBe(nix('--add', path).toString())
    expect((await collect(store.nar(storePath))).equals(nix('--dump', path))).toBe(true)
    // What the second import takes from its record is named the same.
    expect((await store.importPath(path)).storePath.equals(storePath)).toBe(true)
  })
})
