import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { grpcurl, missingGrpcurl } from './grpcurl.js'
import { at, startDaemon } from './servers.js'
import { neve, newStore, ONE_LINE, requireReal, sampleTree, temporaryFolder } from './support.js'

const LEVELS = [
  ['-qqq'],
  ['-qq'],
  ['-q'],
  [],
  ['-v'],
  ['-vv'],
  ['--log-level', '5'],
  ['--log-format', 'json', '-vv'],
]

interface Line {
  readonly level: string
  readonly msg: string
  readonly [field: string]: unknown
}

function jsonLines(text: string): Line[] {
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)
}

describe('standard output and standard error', () => {
  test.each(LEVELS.map((flags) => ({ flags, title: flags.join(' ') })))(
    '08#9 with "$title" stdout carries only results',
    async ({ flags }) => {
      const { run } = newStore()
      const imported = await run('import', sampleTree(temporaryFolder()), ...flags)
      expect(imported.code).toBe(0)
      expect(imported.lines).toEqual([expect.stringMatching(/^\/nix\/store\/[0-9a-z]{32}-sample$/)])
      const digest = (await run('stat', '--json', imported.lines[0]!, ...flags)).stdout
      expect(JSON.parse(digest.toString())).toMatchObject({ kind: 'directory' })
      const talks = flags.some((flag) => /^-v|^5$/.test(flag))
      expect(imported.stderr).toMatch(talks ? /opened the store/ : /^$/)
    },
  )

  test.each([
    ['--log-level', 'loud', '--log-level: unknown level "loud"'],
    ['--log-format', 'xml', '--log-format: unknown format "xml"'],
  ])('%s %s is a mistake', async (flag, value, message) => {
    const { code, stderr } = await neve(['import', flag, value])
    expect([code, stderr.includes(message)]).toEqual([2, true])
    expect(stderr).toMatch(ONE_LINE)
  })

  test('NEVE_LOG says the level where no flag does, and a flag goes before it', async () => {
    const { path } = newStore()
    const tree = sampleTree(temporaryFolder())
    const told = async (args: string[], level: string) =>
      (await neve(['import', tree, '--store', path, ...args], { env: { NEVE_LOG: level } })).stderr
    expect(await told([], 'debug')).toMatch(/^neve: debug: opened the store access=write ms=\d+$/m)
    expect(await told(['-q'], 'debug')).toBe('')
    expect(await told(['-v', '-q'], 'debug')).toBe('')
    expect(await told([], 'nonsense')).toContain('NEVE_LOG: unknown level "nonsense"')
    expect(await told(['-v', '--log-level', 'info'], '')).toContain('cannot be given together')
  })

  test('a failure is a line of JSON where lines of JSON are wanted, and silent where silence is', async () => {
    const { run } = newStore()
    const failed = await run('import', '/does/not/exist', '--log-format', 'json')
    expect(failed.code).toBe(1)
    expect(jsonLines(failed.stderr)).toEqual([
      expect.objectContaining({ level: 'error', msg: expect.stringContaining('/does/not/exist') }),
    ])
    expect(await run('import', '/does/not/exist', '-qqq')).toMatchObject({ code: 1, stderr: '' })
  })
})

describe('the log of a daemon', () => {
  test('has each call that fails once, with what it was about, as text and as JSON', async () => {
    const folder = temporaryFolder()
    const [socket, store] = [join(folder, 's.sock'), join(folder, 'store')]
    const args = ['-l', socket, '--store', store, '--read-only']
    await neve(['import', sampleTree(folder), '--store', store])
    writeFileSync(join(folder, 'other'), 'other')
    const address = `grpc+unix:${socket}`
    const provoke = async () => {
      const put = await neve(['import', join(folder, 'other'), ...at(address)])
      expect(put.code).toBe(1)
    }
    const text = await startDaemon(args, {}, 'castore-daemon')
    await provoke()
    await text.stop()
    const failedLines = text
      .stderr()
      .split('\n')
      .filter((each) => each.includes('call failed'))
    const methods = failedLines.map((line) => /method=(\S+)/.exec(line)![1]!)
    expect(methods).toEqual(['neve.castore.v1.BlobBatchService/PutFramed'])
    expect(failedLines[0]).toMatch(
      /^neve: warning: call failed method=\S+ code=UNIMPLEMENTED peer=\S+ ms=[\d.]+ received=\d+ sent=0 details=".*read-only"/,
    )

    const json = await startDaemon([...args, '-vv', '--log-format', 'json'])
    await provoke()
    await json.stop()
    const lines = jsonLines(json.stderr())
    const failed = lines.filter(({ msg, level }) => msg === 'call failed' && level === 'warn')
    expect(failed.map(({ method }) => method)).toEqual(methods)
    expect(failed[0]).toMatchObject({ code: 'UNIMPLEMENTED', details: expect.any(String), sent: 0 })
    for (const each of lines)
      expect(each).toMatchObject({ level: expect.any(String), pid: expect.any(Number) })
    expect(lines.find(({ msg }) => msg.startsWith('serving on'))!['listen_address']).toEqual([address])
  })

  test('what is asked for in vain is told at debug only, with its digest', async () => {
    const folder = temporaryFolder()
    const socket = join(folder, 's.sock')
    const args = ['-l', socket, '--store', join(folder, 'store')]
    const absent = `blake3-${Buffer.alloc(32, 7).toString('base64')}`
    const ask = () => neve(['cat', absent, ...at(`grpc+unix:${socket}`)])
    for (const [flags, told] of [
      [[], 0],
      [['-v'], 1],
    ] as const) {
      const daemon = await startDaemon([...args, ...flags], {}, 'castore-daemon')
      expect((await ask()).code).toBe(1)
      expect(await daemon.stop()).toBe(0)
      const lines = daemon
        .stderr()
        .split('\n')
        .filter((line) => line.includes('code=NOT_FOUND'))
      expect(lines.length >= told && (told > 0 || lines.length === 0)).toBe(true)
      for (const line of lines) expect(line).toContain(`digest="b3:${absent.slice('blake3-'.length)}"`)
    }
  })

  test('has no secrets of clients, whatever its level', async (context) => {
    requireReal(context, missingGrpcurl)
    const store = join(temporaryFolder(), 'store')
    const daemon = await startDaemon(['-l', '127.0.0.1:0', '--store', store, '-vv'], {}, 'daemon')
    const { host } = new URL(daemon.urls[0]!)
    const digest = Buffer.alloc(32, 7).toString('base64')
    for (const method of ['BlobService/Stat', 'BlobService/Read', 'NoService/Nothing']) {
      const flags = ['-plaintext', '-H', 'authorization: Bearer s3cr3t-t0ken', '-H', 'x-key: 0ther-s3cr3t']
      const call = grpcurl(...flags, '-d', JSON.stringify({ digest }), host, `snix.castore.v1.${method}`)
      await expect(call).rejects.toThrow()
    }
    expect(await daemon.stop()).toBe(0)
    expect(daemon.stderr()).toMatch(/method=snix\.castore\.v1\.BlobService\/Stat code=NOT_FOUND/)
    expect(daemon.stderr()).not.toMatch(/s3cr3t|t0ken/)
  })
})
