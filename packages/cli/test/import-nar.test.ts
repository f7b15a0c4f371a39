import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { openLocalStore } from '@neve/store-pathinfo'
import { describe, expect, onTestFinished, test } from 'vitest'
import { missingProgram, neve, newStore, ONE_LINE, requireReal, temporaryFolder } from './support.js'

const HELLOWORLD = Buffer.from(
  '0d000000000000006e69782d617263686976652d3100000001000000000000002800000000000000040000000000000074797065000000000700000000000000726567756c6172000800000000000000636f6e74656e74730c0000000000000048656c6c6f20576f726c64210000000001000000000000002900000000000000',
  'hex',
)
const DIGEST = 'blake3-XKeBWty0hOmhNsEe/mnB1TAXbVSbXRjQOOtSgLSzRww='
const JSON_LINE = `{"type":"file","digest":"${DIGEST}","size":12,"executable":false}`

/** A unix socket that sends something to who connects, once it is let. */
async function sender(content: Uint8Array, until: Promise<void> = Promise.resolve()) {
  const path = join(temporaryFolder(), 'socket')
  let ended: () => void = () => {}
  const sent = new Promise<void>((resolve) => {
    ended = resolve
  })
  const server = createServer((connection) => {
    connection.on('error', () => {})
    connection.on('close', ended)
    void until.then(() => connection.end(content))
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  onTestFinished(() => void server.close())
  return { path, sent }
}

describe('import-nar', () => {
  test('08 section 3.6: the vector of HELLOWORLD, in every format', async () => {
    const { path, run } = newStore()
    const file = join(temporaryFolder(), 'hello.nar')
    writeFileSync(file, HELLOWORLD)
    const urlsafe = 'EiQSIFyngVrctITpoTbBHv5pwdUwF21Um10Y0DjrUoC0s0cMGAw'
    expect((await run('import-nar', '--format', 'urlsafe-base64', file)).lines).toEqual([urlsafe])
    const padded = `${urlsafe}=`
    expect((await run('import-nar', '--format=base64', file)).lines).toEqual([padded])
    expect(await run('import-nar', file)).toMatchObject({ code: 0, lines: [JSON_LINE], stderr: '' })
    await using store = await openLocalStore(path, { readOnly: true })
    expect(store.engine.count('pathInfos')).toBe(0)
    expect((await run('cat', DIGEST)).stdout.toString()).toBe('Hello World!')
  })

  test('a directory and a link, as the reference writes them', async () => {
    const { run } = newStore()
    const folder = join(temporaryFolder(), 'folder')
    mkdirSync(folder)
    const link = join(folder, 'aa')
    symlinkSync('/nix/store/somewhereelse', link)
    const [path] = (await run('import', folder)).lines
    const [inner, outer] = [`${path}/aa`, path!].map((address) => run('nar', address))
    const printed = await run('import-nar', fileOf((await inner!).stdout))
    expect(printed.lines).toEqual(['{"type":"symlink","target":"/nix/store/somewhereelse"}'])
    const [line] = (await run('import-nar', fileOf((await outer!).stdout))).lines
    const [, digest] = /^\{"type":"directory","digest":"(blake3-.*)","size":1\}$/.exec(line!) ?? []
    expect((await run('ls', digest!)).lines).toEqual(['aa'])
  })

  test('compression is told by the first bytes, brotli by an option', async (context) => {
    for (const program of ['xz', 'bzip2', 'zstd']) requireReal(context, missingProgram(program, '--version'))
    const { run } = newStore()
    const piped = (program: string) => execFileSync(program, ['-c'], { input: HELLOWORLD })
    const files = [HELLOWORLD, gzipSync(HELLOWORLD), piped('xz'), piped('bzip2'), piped('zstd')].map(fileOf)
    expect((await run('import-nar', ...files)).lines).toEqual(files.map(() => JSON_LINE))
    const brotli = fileOf(brotliCompressSync(HELLOWORLD))
    expect((await run('import-nar', '--compression', 'br', brotli)).lines).toEqual([JSON_LINE])
    const refused = await run('import-nar', brotli)
    expect([refused.code, refused.lines]).toEqual([1, []])
  })

  test('roots are printed in the order of the inputs, whichever ends first', async () => {
    const { run } = newStore()
    const second = await sender(narOf(Buffer.from('Hello There!')))
    const first = await sender(gzipSync(HELLOWORLD), second.sent)
    const { code, lines } = await run('import-nar', first.path, second.path)
    expect([code, lines[0]]).toEqual([0, JSON_LINE])
    expect(lines).toHaveLength(2)
    expect(lines[1]).not.toBe(JSON_LINE)
  })

  test('what fails is told, the others are stored, and nothing of the rest is visible', async () => {
    const { path, run } = newStore()
    const file = fileOf(HELLOWORLD)
    const folder = join(temporaryFolder(), 'folder')
    mkdirSync(folder)
    const bomb = fileOf(gzipSync(narOf(Buffer.alloc(50_000_000))))
    const cut = fileOf(HELLOWORLD.subarray(0, 100))
    const cutGzip = fileOf(gzipSync(HELLOWORLD).subarray(0, 40))
    const trailing = fileOf(Buffer.concat([HELLOWORLD, Buffer.alloc(1)]))
    const bad = [bomb, cut, cutGzip, trailing, '/nowhere/at/all', folder]
    const { code, lines, stderr } = await run('import-nar', '--max-size', '1M', ...bad, file)
    expect([code, lines]).toEqual([1, [JSON_LINE]])
    const told = stderr.trimEnd().split('\n')
    expect(told).toHaveLength(bad.length)
    for (const input of bad) expect(told.filter((line) => line.includes(input))).toHaveLength(1)
    expect(stderr).toContain(`${bomb}: the NAR has more than 1048576 bytes`)
    expect(stderr).not.toContain('internal error')
    await using store = await openLocalStore(path, { readOnly: true })
    expect(store.engine.count('directories')).toBe(0)
    expect(store.engine.count('content')).toBe(1)
  })

  test('--name stores it under the store path of the same file imported', async () => {
    const { run } = newStore()
    const storePath = '/nix/store/hdr0vc3jd7iq84vlp13h0c8sybpj884r-helloworld.txt'
    const args = ['--store', join(temporaryFolder(), 'store'), 'import-nar', '--name', 'helloworld.txt', '-']
    expect(await neve(args, { input: HELLOWORLD })).toMatchObject({ code: 0, lines: [storePath] })
    const socket = await sender(HELLOWORLD)
    const json = await run('import-nar', '--name', 'helloworld.txt', '--format', 'json', socket.path)
    expect(JSON.parse(json.lines[0]!)).toMatchObject({ type: 'file', storePath, narSize: 128 })
    expect(await run('cat', storePath)).toMatchObject({ code: 0 })
    const broken = await neve(['--store', 's', 'import-nar', '--name', 'x', '-'], {
      cwd: temporaryFolder(),
      input: HELLOWORLD.subarray(1),
    })
    expect([broken.code, broken.lines]).toEqual([1, []])
    expect(broken.stderr).toMatch(ONE_LINE)
  })
})

function fileOf(content: Uint8Array): string {
  const file = join(temporaryFolder(), 'a.nar')
  writeFileSync(file, content)
  return file
}

/** The archive of one file. */
function narOf(content: Uint8Array): Buffer {
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(content.length))
  const padding = Buffer.alloc((8 - (content.length % 8)) % 8)
  return Buffer.concat([HELLOWORLD.subarray(0, 88), length, content, padding, HELLOWORLD.subarray(112)])
}
