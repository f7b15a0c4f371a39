import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SecretKey } from '@neve/nix-compat'
import { describe, expect, it } from 'vitest'
import { nixIsThere, PrivateNix } from './private-nix.js'
import { served, temporaryFolder, temporaryStore } from './support.js'

const COMPRESSIONS = ['none', 'zstd'] as const

/** A store with a tree in it: files of several kinds, and one of several chunks. */
async function withTree() {
  const folder = join(temporaryFolder(), 'tree')
  mkdirSync(join(folder, 'bin'), { recursive: true })
  writeFileSync(join(folder, 'bin', 'run'), '#!/bin/sh\necho hi\n', { mode: 0o755 })
  writeFileSync(join(folder, 'large'), Buffer.alloc(3_000_000, 'some text that repeats, and then '))
  writeFileSync(join(folder, 'noise'), randomBytes(50_000))
  const store = await temporaryStore()
  const { storePath } = await store.importPath(folder)
  return { store, path: storePath.toAbsolute() }
}

describe.skipIf(!nixIsThere)('real Nix reads', () => {
  it.each(COMPRESSIONS)('nix copy --from, %s, and what arrives is right', async (compression) => {
    const { store, path } = await withTree()
    const { url, errors } = await served(store, { compression })
    const nix = new PrivateNix('require-sigs = false\n')
    await nix.run('nix', 'copy', '--from', url, '--to', nix.root, path)
    await nix.run('nix-store', '--verify-path', path)
    await nix.run('nix-store', '--verify', '--check-contents')
    expect(errors).toEqual([])
  })

  it('nix-store --realise substitutes what a trusted key signed, and refuses the rest', async () => {
    const { store, path } = await withTree()
    // What is addressed by its contents needs no signature.
    const info = (await store.resolve(path)).storePath!
    await store.pathInfos.put(
      { ...(await store.pathInfos.get(info.digest))!, ca: undefined },
      { overwrite: true },
    )
    const key = SecretKey.generate('neve.example-1')
    const signed = await served(store, { signKeys: [key] })
    const unsigned = await served(store)
    const other = SecretKey.generate('neve.example-1')
    const realise = (url: string, trusted: SecretKey) =>
      new PrivateNix(`substituters = ${url}\ntrusted-public-keys = ${trusted.publicKey}\n`).try(
        'nix-store',
        '--realise',
        path,
      )
    expect(await realise(signed.url, key)).toMatchObject({ status: 0, stdout: `${path}\n` })
    for (const refused of [await realise(signed.url, other), await realise(unsigned.url, key)]) {
      expect(refused.status).not.toBe(0)
      expect(refused.stderr).toContain('not signed by any of the keys')
    }
  })

  it('nix path-info, nix store ls and nix store cat', async () => {
    const { store, path } = await withTree()
    const { url } = await served(store)
    const nix = new PrivateNix()
    const [info] = JSON.parse(await nix.run('nix', 'path-info', '--store', url, '--json', path))
    expect(info.path).toBe(path)
    expect(BigInt(info.narSize)).toBe((await store.openNar(path)).size)
    const list = await nix.run('nix', 'store', 'ls', '--store', url, '-l', `${path}/bin`)
    expect(list).toMatch(/^-r-xr-xr-x +18 \.\/run$/m)
    expect(await nix.run('nix', 'store', 'cat', '--store', url, `${path}/bin/run`)).toBe('#!/bin/sh\necho hi')
  })
})
