import { randomBytes, randomInt } from 'node:crypto'
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import {
  buildStorePath,
  ContentAddress,
  Derivation,
  digestSize,
  HASH_ALGORITHMS,
  type HashAlgorithm,
  NixHash,
  narStorePath,
  placeholder,
  StorePath,
  textStorePath,
} from '@neve/nix-compat'
import { expect, test } from 'vitest'
import { describeWithNix, type NixOracle } from './nix-oracle.js'
import { utf8 } from './refusal.js'

const ALPHABET = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-._?='

/** A name that Nix 2.8 takes, too: it does not yet know names that begin with a dot. */
function randomName(): string {
  const length = randomInt(1, 40)
  return `n${Array.from({ length }, () => ALPHABET[randomInt(ALPHABET.length)]).join('')}`
}

function randomFiles(nix: NixOracle): { path: string; name: string; bytes: Uint8Array }[] {
  return [0, 1, 7, 8, 9, 255, 4096, randomInt(100000)].map((length) => {
    const name = randomName()
    const path = nix.place(name)
    const bytes = new Uint8Array(randomBytes(length))
    writeFileSync(path, bytes)
    return { path, name, bytes }
  })
}

describeWithNix('nix-hash', (nix) => {
  test.each(HASH_ALGORITHMS)('hashes contents as we do: %s', (algorithm) => {
    const files = randomFiles(nix)
    const paths = files.map(({ path }) => path)
    const hashes = files.map(({ bytes }) => NixHash.of(algorithm, bytes))
    expect(nix.run('nix-hash', '--type', algorithm, '--flat', ...paths)).toEqual(
      hashes.map((hash) => hash.toHex()),
    )
    expect(nix.run('nix-hash', '--type', algorithm, '--flat', '--base32', ...paths)).toEqual(
      hashes.map((hash) => hash.toNixbase32()),
    )
  })

  test.each(HASH_ALGORITHMS)('converts between encodings as we do: %s', (algorithm) => {
    const hashes = Array.from(
      { length: 20 },
      () => new NixHash(algorithm, randomBytes(digestSize(algorithm))),
    )
    const hex = hashes.map((hash) => hash.toHex())
    const base32 = hashes.map((hash) => hash.toNixbase32())
    expect(nix.run('nix-hash', '--to-base32', '--type', algorithm, ...hex)).toEqual(base32)
    expect(nix.run('nix-hash', '--to-base16', '--type', algorithm, ...base32)).toEqual(hex)
    const sri = nix.run('nix', 'hash', 'to-sri', '--type', algorithm, ...base32)
    expect(sri).toEqual(hashes.map((hash) => hash.toSri()))
    expect(sri.map((text) => NixHash.parse(text))).toEqual(hashes)
  })
})

describeWithNix('nix-store', (nix) => {
  /** The NAR's hash, from Nix: this package does not make NARs. */
  const narHashes = (algorithm: HashAlgorithm, paths: string[]) =>
    nix.run('nix-hash', '--type', algorithm, ...paths).map((hex) => NixHash.parse(hex, algorithm))

  function randomTrees(): { path: string; name: string }[] {
    const folder = { path: nix.place('folder'), name: 'folder' }
    mkdirSync(`${folder.path}/b/c`, { recursive: true })
    writeFileSync(`${folder.path}/b/a`, randomBytes(100))
    symlinkSync('../b', `${folder.path}/b/link`)
    const link = { path: nix.place('link'), name: 'link' }
    symlinkSync('/nowhere', link.path)
    const program = { path: nix.place('program'), name: 'program' }
    writeFileSync(program.path, '#!/bin/sh\n')
    chmodSync(program.path, 0o755)
    return [folder, link, program]
  }

  test('--add names sources as we do', () => {
    const things = [...randomFiles(nix), ...randomTrees()]
    const paths = things.map(({ path }) => path)
    const hashes = narHashes('sha256', paths)
    expect(nix.runWithStore('nix-store', '--add', ...paths)).toEqual(
      things.map(({ name }, i) => narStorePath(name, hashes[i]!.digest).toAbsolute()),
    )
  })

  test.each(HASH_ALGORITHMS)('--add-fixed names flat files as we do: %s', (algorithm) => {
    const files = randomFiles(nix)
    expect(nix.runWithStore('nix-store', '--add-fixed', algorithm, ...files.map(({ path }) => path))).toEqual(
      files.map(({ name, bytes }) =>
        buildStorePath(name, new ContentAddress('flat', NixHash.of(algorithm, bytes))).toAbsolute(),
      ),
    )
  })

  test.each(HASH_ALGORITHMS)('--recursive --add-fixed names trees as we do: %s', (algorithm) => {
    const things = [...randomFiles(nix), ...randomTrees()]
    const paths = things.map(({ path }) => path)
    const hashes = narHashes(algorithm, paths)
    expect(nix.runWithStore('nix-store', '--recursive', '--add-fixed', algorithm, ...paths)).toEqual(
      things.map(({ name }, i) =>
        buildStorePath(name, new ContentAddress('recursive', hashes[i]!)).toAbsolute(),
      ),
    )
  })

  test.each(HASH_ALGORITHMS)('--print-fixed-path for random digests: %s', (algorithm) => {
    for (const method of ['flat', 'recursive'] as const) {
      for (let round = 0; round < 3; round++) {
        const hash = new NixHash(algorithm, randomBytes(digestSize(algorithm)))
        const name = randomName()
        const flags = method === 'recursive' ? ['--recursive'] : []
        const text = [hash.toHex(), hash.toNixbase32(), hash.toBase64()][round]!
        const printed = nix.runWithStore('nix-store', ...flags, '--print-fixed-path', algorithm, text, name)
        expect(printed).toEqual([buildStorePath(name, new ContentAddress(method, hash)).toAbsolute()])
      }
    }
  })

  test('the content addresses it records are those we print', () => {
    const [file] = randomFiles(nix)
    for (const algorithm of HASH_ALGORITHMS) {
      const [path] = nix.runWithStore('nix-store', '--add-fixed', algorithm, file!.path)
      const [info] = JSON.parse(nix.runWithStore('nix', 'path-info', '--json', path!).join('')) as [
        { ca: string },
      ]
      const expected = new ContentAddress('flat', NixHash.of(algorithm, file!.bytes))
      expect(info.ca).toBe(expected.toString())
      expect(ContentAddress.parse(info.ca).equals(expected)).toBe(true)
    }
  })
})

describeWithNix('nix-instantiate', (nix) => {
  const evaluate = (expression: string) =>
    JSON.parse(
      nix
        .runWithStore(
          'nix-instantiate',
          '--eval',
          '--read-write-mode',
          '--strict',
          '--json',
          '-E',
          expression,
        )
        .join(''),
    ) as unknown

  test('names texts as we do, with references in any order', () => {
    const [a, b] = [textStorePath('a', utf8('1')), textStorePath('b', utf8('2'))]
    const expression = `let a = builtins.toFile "a" "1"; b = builtins.toFile "b" "2";
      in [ a b (builtins.toFile "two" "\${a} \${b}") (builtins.toFile "one" "\${b}") (builtins.placeholder "dev") ]`
    expect(evaluate(expression)).toEqual([
      a.toAbsolute(),
      b.toAbsolute(),
      textStorePath('two', utf8(`${a.toAbsolute()} ${b.toAbsolute()}`), [a, b]).toAbsolute(),
      textStorePath('one', utf8(b.toAbsolute()), [b]).toAbsolute(),
      placeholder('dev'),
    ])
  })

  test('writes derivations as we do, and computes the same paths', () => {
    const digest = (algorithm: HashAlgorithm) =>
      new NixHash(algorithm, randomBytes(digestSize(algorithm))).toHex()
    const expression = `
      let
        common = { builder = "/bin/sh"; system = "x86_64-linux"; };
        source = builtins.toFile "builder.sh" "echo \${builtins.toFile "other" "text"}";
        flat = derivation (common // { name = "flat.tar.gz"; outputHashAlgo = "sha512"; outputHash = "${digest('sha512')}"; });
        tree = derivation (common // { name = "tree"; outputHashMode = "recursive"; outputHashAlgo = "sha1"; outputHash = "${digest('sha1')}"; args = [ flat ]; });
        twin = derivation (common // { name = "tree"; outputHashMode = "recursive"; outputHashAlgo = "sha1"; outputHash = "${digest('sha1')}"; });
        several = derivation (common // { name = "several"; outputs = [ "out" "dev" "lib" ]; inherit source tree; });
        odd = "tab\\t newline\\n return\\r quote\\" backslash\\\\ dollar$ ümläut 😀";
        top = derivation (common // { name = "top-1.0"; args = [ odd "-e" source several.lib several.dev ]; inherit odd twin; "\u{ffee}" = "a"; "\u{1f600}" = "b"; empty = ""; });
      in [ top.drvPath ]`
    const [top] = evaluate(expression) as [string]

    const modulos = new Map<string, Uint8Array>()
    let seen = 0
    const check = (path: StorePath): Uint8Array => {
      const known = modulos.get(path.toString())
      if (known !== undefined) return known
      seen++
      const text = nix.readStoreFile(path.toAbsolute())
      const derivation = Derivation.parse(text)
      const name = path.name.slice(0, -'.drv'.length)
      expect(derivation.toAterm()).toEqual(text)
      expect(derivation.storePath(name).toString()).toBe(path.toString())
      const blank = derivation.withoutOutputPaths()
      expect(blank.withOutputPaths(name, blank.hashModulo(check))).toEqual(derivation)
      const modulo = derivation.hashModulo(check)
      modulos.set(path.toString(), modulo)
      return modulo
    }
    check(StorePath.parseAbsolute(top))
    // `flat` is needed by the fixed-output `tree` only, so nothing asked for it.
    expect(seen).toBe(4)
  })
})
