import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { dumpPath } from '@neve/nar/node'
import { SecretKey, StorePath } from '@neve/nix-compat'
import { openLocalStore, openStore, pushClosure } from '@neve/store-pathinfo'
import { describe, expect, it } from 'vitest'
import { makeRandomTree } from './host-trees.js'
import { Nginx, nginxIsThere } from './nginx.js'
import { PrivateNix } from './nix-cache.js'
import { collect, failureOf, nixIsThere, temporaryFolder } from './support.js'

describe.skipIf(!nixIsThere || !nginxIsThere)('a cache that Nix wrote, served by nginx (needs both)', () => {
  const key = SecretKey.generate('cache.example.org-1')

  /** A file that mentions a tree, as a closure in a signed cache; the root that it was copied from. */
  function cacheOf(compression: string) {
    const nix = new PrivateNix()
    const folder = temporaryFolder()
    const keyFile = join(folder, 'key')
    writeFileSync(keyFile, key.toSecretText())
    const tree = makeRandomTree(31, 60)
    const expression = `builtins.toFile "top" "see \${builtins.path { path = ${tree}; name = "tree"; }}"`
    const root = nix.root('from')
    const top = nix.run('nix', 'eval', '--store', root, '--impure', '--raw', '--expr', expression).toString()
    const cache = join(folder, 'cache')
    const address = `file://${cache}?compression=${compression}&secret-key=${keyFile}`
    nix.run('nix', 'copy', '--store', root, '--to', address, top)
    return { cache, root, top: StorePath.parseAbsolute(top) }
  }

  it.each(['xz', 'zstd'])(
    'with %s: its closure comes byte for byte, signed, and what is there is not asked for again',
    { timeout: 120_000 },
    async (compression) => {
      const { cache, root, top } = cacheOf(compression)
      await using nginx = await Nginx.serve(cache)
      const address = `nix+http://127.0.0.1:${nginx.port}?trusted_public_keys[0]=${key.publicKey}`
      await using to = await openLocalStore(join(temporaryFolder(), 'store'))
      await using from = await openStore(address, { contents: to })
      const pulled = async (): Promise<boolean[]> => {
        const present = []
        for await (const path of pushClosure({ from, to }, [top], { checkNars: true }))
          present.push(path.present)
        return present
      }
      expect(await pulled()).toEqual([false, false])
      const nars = nginx.requests().filter((request) => request.startsWith('GET /nar/'))
      expect(nars).toEqual([expect.stringMatching(/ 200$/), expect.stringMatching(/ 200$/)])
      expect(nars.every((request) => request.includes(`.nar.${compression === 'zstd' ? 'zst' : 'xz'}`))).toBe(
        true,
      )

      const info = await to.pathInfos.get(top.digest)
      const [tree] = info!.references
      expect(tree!.name).toBe('tree')
      for (const path of [top, tree!]) {
        const expected = await collect(dumpPath(join(root, path.toAbsolute())))
        expect((await collect(to.nar(path))).equals(expected)).toBe(true)
        const { signatures } = (await to.pathInfos.get(path.digest))!
        expect(signatures.map(({ name }) => name)).toEqual([key.name])
      }
      expect(await pulled()).toEqual([true, true])
      expect(nginx.requests().filter((request) => request.startsWith('GET /nar/'))).toEqual(nars)

      const other = SecretKey.generate('other-1').publicKey
      const wary = address.replace(String(key.publicKey), String(other))
      await using untrusted = await openStore(wary)
      const refused = await failureOf(async () => {
        for await (const _path of pushClosure({ from: untrusted, to }, [top]));
      })
      expect(refused).toMatchObject({ code: 'untrusted' })
    },
  )
})
