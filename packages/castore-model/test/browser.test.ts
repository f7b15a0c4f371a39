import { fileURLToPath } from 'node:url'
import vm from 'node:vm'
import { build } from 'esbuild'
import { beforeAll, describe, expect, it } from 'vitest'

const home = fileURLToPath(new URL('..', import.meta.url))

const program = `
import { B3Digest, blake3, Directory, directoryToJson, hashThrough, Path, PathComponent, SymlinkTarget } from '@neve/castore-model'
import { fromUint64, snix, toUint64 } from '@neve/castore-model/proto'

export const implementation = blake3.implementation
const hello = new TextEncoder().encode('Hello World!')
export const helloDigest = B3Digest.of(hello).toString()
const blobB = new Uint8Array(255 * 4096).map((_, i) => i % 255)
export const blobBDigest = B3Digest.of(blobB).toHex()

const file = { kind: 'file', digest: B3Digest.EMPTY, size: 0n, executable: false }
const withKeep = Directory.fromEntries([[PathComponent.from('.keep'), file]])
const complicated = Directory.fromEntries([
  [PathComponent.from('keep'), withKeep.toNode()],
  [PathComponent.from('.keep'), file],
  [PathComponent.from('aa'), { kind: 'symlink', target: SymlinkTarget.from('/nix/store/somewhereelse') }],
])
export const complicatedDigest = complicated.digest().toHex()
export const names = directoryToJson(Directory.decode(complicated.encode().slice())).entries.map((entry) => entry.name)
export const path = Path.parse('a/b').join('c').toString()

export const streamed = (async () => {
  const reader = hashThrough((async function* () { yield blobB.subarray(0, 1000); yield blobB.subarray(1000) })())
  for await (const _ of reader) {}
  return reader.digest().toHex()
})()

export const generatedSize = fromUint64(
  snix.castore.v1.FileEntry.decode(snix.castore.v1.FileEntry.encode({ size: toUint64(9007199254740993n) }).finish()).size,
)
`

interface Result {
  readonly implementation: string
  readonly helloDigest: string
  readonly blobBDigest: string
  readonly complicatedDigest: string
  readonly names: readonly string[]
  readonly path: string
  readonly streamed: Promise<string>
  readonly generatedSize: bigint
}

async function bundle(contents: string): Promise<{ code: string; inputs: string[] }> {
  const result = await build({
    stdin: { contents, resolveDir: home, loader: 'js' },
    bundle: true,
    platform: 'browser',
    format: 'iife',
    globalName: 'result',
    target: 'es2022',
    write: false,
    metafile: true,
    logLevel: 'silent',
  })
  return { code: result.outputFiles[0]!.text, inputs: Object.keys(result.metafile.inputs) }
}

/** What a page or a worker has, and nothing of Node. */
function webGlobals() {
  const { WebAssembly } = globalThis as unknown as { WebAssembly: object }
  return {
    TextEncoder,
    TextDecoder,
    WebAssembly,
    atob,
    btoa,
    URL,
    console,
    crypto,
    queueMicrotask,
    setTimeout,
  }
}

describe('in a browser', () => {
  let code = ''
  let inputs: string[] = []
  let result: Result

  beforeAll(async () => {
    ;({ code, inputs } = await bundle(program))
    result = vm.runInNewContext(`${code};result`, webGlobals()) as Result
  })

  it('the bundle needs nothing of Node', () => {
    expect(code).not.toMatch(/["']node:|createRequire|@napi-rs/)
    expect(inputs.filter((input) => /\.node\.|napi/.test(input))).toEqual([])
    expect(inputs.some((input) => input.includes('blake3-platform.browser'))).toBe(true)
  })

  it('BLAKE3 runs as WebAssembly, at once', () => {
    expect(result.implementation).toBe('wasm')
    expect(result.helloDigest).toBe('b3:XKeBWty0hOmhNsEe/mnB1TAXbVSbXRjQOOtSgLSzRww=')
    expect(result.blobBDigest).toBe('a82c5154a7a0c262c6fdb929a317585646f8fbcf80326d0a7b8747edaf2d99d2')
  })

  it('directories have their digests', () => {
    expect(result.complicatedDigest).toBe('3f951a15afd586fb3121ef4d13d582e811ce0e5a7f21c0497fd87490e9e2355a')
    expect([...result.names]).toEqual(['.keep', 'aa', 'keep'])
    expect(result.path).toBe('a/b/c')
  })

  it('streams are hashed', async () => {
    expect(await result.streamed).toBe('a82c5154a7a0c262c6fdb929a317585646f8fbcf80326d0a7b8747edaf2d99d2')
  })

  it('generated messages keep uint64 exact', () => {
    expect(result.generatedSize).toBe(9007199254740993n)
  })

  it('fails to build when something of Node is imported, so that the first test means something', async () => {
    await expect(
      bundle("import { readFileSync } from 'node:fs'; console.log(readFileSync)"),
    ).rejects.toThrow()
  })
})
