import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  fingerprint,
  formatNarInfo,
  type PublicKey,
  parseNarInfo,
  SecretKey,
  trustedSignature,
} from '@neve/nix-compat'
import { expect, test } from 'vitest'
import { describeWithNix, type NixOracle } from './nix-oracle.js'

/** A text and one that references it, signed, copied to a cache. */
function cacheWith(nix: NixOracle, secretFile: string, compression: string) {
  const expression = 'rec { a = builtins.toFile "a" "hi"; b = builtins.toFile "b" (a + ""); }'
  const paths = ['a', 'b'].map((name) =>
    nix
      .runWithStore('nix-instantiate', '--eval', '--read-write-mode', '-E', `(${expression}).${name}`)[0]!
      .replaceAll('"', ''),
  )
  const cache = nix.place('cache')
  const store = ['--store', join(nix.folder, 'root')]
  nix.run('nix', 'store', 'sign', ...store, '-k', secretFile, ...paths)
  nix.run('nix', 'copy', ...store, '--to', `file://${cache}?compression=${compression}`, ...paths)
  const files = readdirSync(cache).filter((name) => name.endsWith('.narinfo'))
  return { cache, paths, files: files.map((name) => join(cache, name)) }
}

describeWithNix('narinfo files of Nix', (nix) => {
  const [secretFile, publicFile] = [nix.place('secret'), nix.place('public')]

  test('a key of its own making is read, and printed as it was', () => {
    nix.run('nix-store', '--generate-binary-cache-key', 'cache.example.org-1', secretFile, publicFile)
    const text = readFileSync(secretFile, 'utf8')
    expect(SecretKey.parse(text).toSecretText()).toBe(text)
    expect(SecretKey.parse(text).publicKey.toString()).toBe(readFileSync(publicFile, 'utf8'))
  })

  test('its signatures are ours, and its files print as they were', () => {
    const key = SecretKey.generate('ours-1')
    writeFileSync(secretFile, key.toSecretText())
    for (const compression of ['none', 'xz', 'zstd']) {
      const { paths, files } = cacheWith(nix, secretFile, compression)
      const texts = files.map((file) => readFileSync(file, 'utf8'))
      const infos = texts.map((text) => parseNarInfo(text))
      expect(infos.map((info) => info.storePath.toAbsolute()).sort()).toEqual(paths.toSorted())
      for (const [i, info] of infos.entries()) {
        expect(formatNarInfo(info)).toBe(texts[i])
        expect(info.compression).toBe(compression)
        expect(trustedSignature(info, [key.publicKey])).toBe(info.signatures[0])
        expect(key.sign(fingerprint(info)).equals(info.signatures[0]!)).toBe(true)
      }
      expect(infos.map(({ references }) => references.length).sort()).toEqual([0, 1])
    }
  })

  test('it takes the signatures that we make, of keys that it trusts', () => {
    writeFileSync(secretFile, SecretKey.generate('other').toSecretText())
    const key = SecretKey.generate('ours-2')
    const { cache, paths, files } = cacheWith(nix, secretFile, 'none')
    for (const file of files) {
      const info = parseNarInfo(readFileSync(file))
      const ca = undefined
      const signed = { ...info, ca, signatures: [...info.signatures, key.sign(fingerprint(info))] }
      expect(trustedSignature(signed, [key.publicKey])).toBe(signed.signatures.at(-1))
      writeFileSync(file, formatNarInfo(signed))
    }
    const fetch = (trusted: PublicKey) => () =>
      nix.run(
        'nix',
        'copy',
        '--from',
        `file://${cache}`,
        '--to',
        nix.place('root'),
        '--option',
        'trusted-public-keys',
        String(trusted),
        ...paths,
      )
    expect(fetch(SecretKey.generate('ours-2').publicKey)).toThrow(/lacks a valid signature/)
    expect(fetch(key.publicKey)).not.toThrow()
  })
})
