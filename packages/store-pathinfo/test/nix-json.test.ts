import { B3Digest } from '@neve/castore-model'
import { ContentAddress, NixHash, Signature, StorePath } from '@neve/nix-compat'
import {
  ClosureSizes,
  formatNixPathInfos,
  MemoryPathInfoService,
  type NixJsonFormat,
  type PathMetadata,
  parseNixPathInfoLine,
  parseNixPathInfos,
  readNixPathInfos,
  StoreError,
} from '@neve/store-pathinfo'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { expectStoreError } from './support.js'

const LIBUNISTRING = '/nix/store/7n0mbqydcipkpbxm24fab066lxk68aqk-libunistring-1.1'
const DUMMY = '/nix/store/00000000000000000000000000000000-dummy'
const NIX32 = 'sha256:11vm2x1ajhzsrzw7lsyss51mmr3b6yll9wdjn51bh7liwkpc8ila'
const HEX = '8a46c4eee4911eb842b1b2f144a9376be45a43d1da6b7af8cffa43a942177587'
const SRI = 'sha256-ikbE7uSRHrhCsbLxRKk3a+RaQ9Haa3r4z/pDqUIXdYc='
const SIGNATURE = new Signature('k-1', new Uint8Array(64).fill(7)).toString()

const METADATA: PathMetadata = {
  storePath: StorePath.parseAbsolute(LIBUNISTRING),
  narSha256: NixHash.parse(SRI).digest,
  narSize: 1_828_984n,
  references: [DUMMY, LIBUNISTRING].map((path) => StorePath.parseAbsolute(path)),
  deriver: StorePath.parse('r54419sfrxcfd719i7ckvv4ykfi9bd1b-d'),
  signatures: [Signature.parse(SIGNATURE)],
  ca: new ContentAddress('recursive', NixHash.parse(SRI)),
}

const asText = (value: unknown): string => JSON.stringify(value)
const OLD = {
  path: LIBUNISTRING,
  narHash: SRI,
  narSize: 1828984,
  references: [LIBUNISTRING, DUMMY],
  deriver: '/nix/store/r54419sfrxcfd719i7ckvv4ykfi9bd1b-d.drv',
  signatures: [SIGNATURE],
  ca: `fixed:r:${NIX32}`,
  registrationTime: 1795259917,
  closureSize: 5,
}
const { path: _, ...OLD_VALUE } = OLD
const NEW_VALUE = {
  version: 2,
  storeDir: '/nix/store',
  narHash: { algorithm: 'sha256', format: 'base16', hash: HEX },
  narSize: 1828984,
  references: [LIBUNISTRING, DUMMY].map((path) => path.slice('/nix/store/'.length)),
  deriver: 'r54419sfrxcfd719i7ckvv4ykfi9bd1b-d.drv',
  signatures: [SIGNATURE],
  ca: { method: 'nar', hash: { algorithm: 'sha256', format: 'base16', hash: HEX } },
  registrationTime: null,
  ultimate: false,
}
const KEY = LIBUNISTRING.slice('/nix/store/'.length)

describe('what Nix writes about store paths', () => {
  it.each<[string, unknown]>([
    ['a list', [OLD]],
    ['a reference graph in structured attributes', { closure: [OLD], builder: '/bin/sh', outputs: {} }],
    ['an object by absolute path', { [LIBUNISTRING]: OLD_VALUE }],
    ['--json-format 1', { [LIBUNISTRING]: { ...OLD_VALUE, storeDir: '/nix/store', version: 1 } }],
    ['--json-format 2', { version: 2, storeDir: '/nix/store', info: { [KEY]: NEW_VALUE } }],
    ['one object', OLD],
    ['nixbase32', [{ ...OLD, narHash: NIX32 }]],
    ['hex', [{ ...OLD, narHash: `sha256:${HEX}` }]],
    ['base64', [{ ...OLD, narHash: { algorithm: 'sha256', format: 'base64', hash: SRI.slice(7) } }]],
    ['signatures as objects', [{ ...OLD, signatures: [{ keyName: 'k-1', sig: SIGNATURE.slice(4) }] }]],
    ['references twice', [{ ...OLD, references: [DUMMY, LIBUNISTRING, DUMMY] }]],
  ])('is read: %s', (_name, document) => {
    expect(parseNixPathInfos(asText(document))).toEqual([METADATA])
  })

  it('may leave out what there is not, or say null', () => {
    const bare = { ...METADATA, references: [], deriver: undefined, signatures: [], ca: undefined }
    const { narHash, narSize } = OLD
    const nothing = { references: null, deriver: null, signatures: null, ca: null }
    for (const more of [{}, nothing, { ca: '', deriver: '' }, { deriver: 'unknown-deriver' }]) {
      const document = [{ path: LIBUNISTRING, narHash, narSize, ...more }]
      expect(parseNixPathInfos(asText(document))).toEqual([bare])
    }
    expect(parseNixPathInfos('[]')).toEqual([])
    expect(parseNixPathInfos('{}')).toEqual([])
    expect(parseNixPathInfos('{"closure":[]}')).toEqual([])
  })

  it('08 section 9: of a deriver one .drv is taken away, not two', () => {
    const deriver = '/nix/store/r54419sfrxcfd719i7ckvv4ykfi9bd1b-d.drv.drv'
    const [info] = parseNixPathInfos(asText([{ ...OLD, deriver }]))
    expect(info!.deriver!.name).toBe('d.drv')
  })

  it('07#36 a reference graph is read, sorted by path, and written as it was', async () => {
    const first = {
      closureSize: 1828984,
      narHash: NIX32,
      narSize: 1828984,
      path: LIBUNISTRING,
      references: [LIBUNISTRING],
    }
    const second = {
      closureSize: 1829384,
      narHash: NixHash.of('sha256', new Uint8Array(1)).toNix(),
      narSize: 400,
      path: '/nix/store/s66mzxpvicwk07gjbjfw9izjfa797vsw-hello-2.12.1',
      references: [LIBUNISTRING, '/nix/store/s66mzxpvicwk07gjbjfw9izjfa797vsw-hello-2.12.1'],
    }
    const infos = parseNixPathInfos(asText([second, first]))
    const service = new MemoryPathInfoService()
    const node = { kind: 'file', digest: B3Digest.EMPTY, size: 0n, executable: false } as const
    for (const info of infos) await service.put({ ...info, node })
    const sizes = new ClosureSizes(service)
    const written = await Promise.all(
      infos
        .sort((a, b) => StorePath.compare(a.storePath, b.storePath))
        .map(async (info) => ({
          closureSize: Number(await sizes.of(info)),
          narHash: new NixHash('sha256', info.narSha256).toNix(),
          narSize: Number(info.narSize),
          path: info.storePath.toAbsolute(),
          references: info.references.map((reference) => reference.toAbsolute()),
        })),
    )
    expect(asText(written)).toBe(asText([first, second]))
  })

  it.each<[string, unknown, string]>([
    ['no JSON', undefined, 'expected JSON'],
    ['a number', 1, 'expected an object, got 1'],
    ['a list of numbers', [1], 'entry 0: expected an object'],
    ['no path', [{ ...OLD, path: undefined }], 'entry 0: path: expected a store path, got nothing'],
    ['another store', [{ ...OLD, path: '/gnu/store/x' }], 'path "/gnu/store/x"'],
    ['a path below', [{ ...OLD, path: `${LIBUNISTRING}/bin` }], 'path'],
    ['another key', { hello: OLD_VALUE }, '"hello": path "hello"'],
    ['not valid', [{ path: LIBUNISTRING, valid: false }], 'is not valid where this comes from'],
    ['not valid, newer', { [LIBUNISTRING]: null }, 'is not valid where this comes from'],
    ['another version', { version: 3, info: {} }, 'version: expected 2, got 3'],
    ['another folder', { version: 2, storeDir: '/x', info: {} }, 'storeDir: expected /nix/store, got "/x"'],
    ['no hash', [{ ...OLD, narHash: undefined }], 'narHash: expected a hash, got nothing'],
    ['another algorithm', [{ ...OLD, narHash: 'md5:d41d8cd98f00b204e9800998ecf8427e' }], 'expected SHA-256'],
    ['a short hash', [{ ...OLD, narHash: 'sha256:abc' }], 'narHash "sha256:abc"'],
    ['no size', [{ ...OLD, narSize: undefined }], 'narSize: expected a number of bytes, got nothing'],
    ['size 0', [{ ...OLD, narSize: 0 }], 'narSize: expected a number of bytes, got 0'],
    ['half a byte', [{ ...OLD, narSize: 1.5 }], 'narSize'],
    ['a size that is none', [{ ...OLD, narSize: '5' }], 'narSize'],
    ['too large a size', [{ ...OLD, narSize: 2 ** 53 }], 'narSize'],
    ['references that are none', [{ ...OLD, references: 'x' }], 'references: expected a list'],
    ['a reference that is none', [{ ...OLD, references: ['x'] }], 'references "x"'],
    ['a deriver that is none', [{ ...OLD, deriver: DUMMY }], 'a path that ends in .drv'],
    ['a deriver of nothing', [{ ...OLD, deriver: `${DUMMY.slice(0, -5)}.drv` }], 'deriver'],
    ['a signature that is none', [{ ...OLD, signatures: ['k-1:AA=='] }], 'signatures "k-1:AA=="'],
    ['a content address that is none', [{ ...OLD, ca: 'fixed:x' }], 'ca "fixed:x"'],
    ['a git tree', [{ ...OLD, ca: { method: 'git', hash: SRI } }], 'method text, flat or nar, got "git"'],
    ['a method of every object', [{ ...OLD, ca: { method: 'constructor', hash: SRI } }], 'method text'],
  ])('is refused: %s', async (_name, document, message) => {
    const text = document === undefined ? '{' : asText(document)
    const error = await expectStoreError(() => parseNixPathInfos(text), 'invalid-input')
    expect(error.message).toContain(message)
  })

  it('is read or refused in our own words, whatever it says', () => {
    const leaf = fc.oneof(
      fc.constantFrom<unknown>(...Object.values(OLD), ...Object.values(NEW_VALUE), LIBUNISTRING, null),
      fc.jsonValue(),
    )
    const keys = fc.constantFrom(
      ...Object.keys(OLD),
      ...Object.keys(NEW_VALUE),
      'valid',
      'x',
      LIBUNISTRING,
      KEY,
    )
    const object = fc.dictionary(keys, leaf).map((changes) => ({ ...OLD, ...changes }))
    const document = fc.oneof(
      fc.array(object),
      object,
      fc.dictionary(fc.constantFrom(LIBUNISTRING, KEY, 'info', 'version', 'storeDir', 'closure'), object),
      fc.jsonValue(),
    )
    fc.assert(
      fc.property(document, (value) => {
        try {
          for (const { storePath } of parseNixPathInfos(asText(value)))
            expect(storePath).toBeInstanceOf(StorePath)
        } catch (error) {
          expect(error).toBeInstanceOf(StoreError)
          expect((error as StoreError).message.length).toBeLessThan(2000)
        }
      }),
      { numRuns: 2000 },
    )
  })
})

describe('what is written is read again', () => {
  it.each<NixJsonFormat>(['list', '1', '2'])('in format %s', async (format) => {
    const bare = { ...METADATA, references: [], deriver: undefined, signatures: [], ca: undefined }
    const other = { ...bare, storePath: StorePath.parseAbsolute(DUMMY) }
    const infos = [METADATA, other]
    let text = ''
    const paths = infos.map((info) => ({ storePath: info.storePath, info, closureSize: 7n }))
    for await (const piece of formatNixPathInfos(paths, format)) text += piece
    expect(parseNixPathInfos(text)).toEqual(infos)
    expect(text.endsWith('\n')).toBe(true)
    let none = ''
    for await (const piece of formatNixPathInfos([], format)) none += piece
    expect(parseNixPathInfos(none)).toEqual([])
  })

  it('a path that is not valid is said to be so', async () => {
    const storePath = METADATA.storePath
    const texts: string[] = []
    for (const format of ['list', '1', '2'] as const) {
      let text = ''
      for await (const piece of formatNixPathInfos([{ storePath, info: undefined }], format)) text += piece
      texts.push(text)
    }
    expect(texts.map((text) => JSON.parse(text))).toEqual([
      [{ path: LIBUNISTRING, valid: false }],
      { [LIBUNISTRING]: null },
      { info: { [KEY]: null }, storeDir: '/nix/store', version: 2 },
    ])
  })
})

describe('reading', () => {
  async function* pieces(text: string, length: number) {
    const bytes = Buffer.from(text)
    for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length)
  }

  it.each([1, 7, 4096])('a document and lines, in pieces of %i bytes', async (length) => {
    expect(await readNixPathInfos(pieces(asText([OLD]), length))).toEqual([METADATA])
    const lines = `${asText(OLD)}\n\n${asText(OLD)}\r\n${asText(OLD)}`
    const read = await readNixPathInfos(pieces(lines, length), { lines: true })
    expect(read).toEqual([METADATA, METADATA, METADATA])
  })

  it('tells which line is wrong', async () => {
    const lines = `${asText(OLD)}\n\n${asText({ ...OLD, narSize: -1 })}\n`
    const error = await expectStoreError(
      () => readNixPathInfos(pieces(lines, 100), { lines: true }),
      'invalid-input',
    )
    expect(error.message).toContain(`line 3: ${LIBUNISTRING}: narSize`)
    expect(() => parseNixPathInfoLine('[]', 1)).toThrow('line 1: the object: expected an object')
  })

  it('what does not end is cut off, what is no text refused', async () => {
    const endless = async function* () {
      for (;;) yield Buffer.alloc(1000, ' ')
    }
    await expectStoreError(() => readNixPathInfos(endless(), { maxSize: 100_000 }), 'too-large')
    await expectStoreError(() => readNixPathInfos(endless(), { maxSize: 100_000, lines: true }), 'too-large')
    const bytes = async function* () {
      yield Buffer.from([0x22, 0xff, 0x22])
    }
    await expectStoreError(() => readNixPathInfos(bytes()), 'invalid-input')
    const reason = new Error('no')
    const stopped = readNixPathInfos(endless(), { signal: AbortSignal.abort(reason) })
    await expect(stopped).rejects.toBe(reason)
  })
})
