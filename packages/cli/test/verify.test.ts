import { closeSync, existsSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { B3Digest } from '@neve/castore-model'
import { allPathDigests, openLocalStore, VerifyStateFile } from '@neve/store-pathinfo'
import { describe, expect, test } from 'vitest'
import { startOnSocket } from './servers.js'
import { neve, newStore, sampleTree, temporaryFolder } from './support.js'

/** Flips a bit of what is stored of a blob in an embedded store. */
async function flip(store: string, digest: B3Digest): Promise<void> {
  await using opened = await openLocalStore(store, { readOnly: true })
  const location = opened.engine.locate(digest.bytes)!
  const file = openSync(join(store, 'segments', `${String(location.segment).padStart(10, '0')}.seg`), 'r+')
  const byte = Buffer.alloc(1)
  const at = location.offset + 52 + (location.storedLength >> 1)
  readSync(file, byte, 0, 1, at)
  byte[0]! ^= 1
  writeSync(file, byte, 0, 1, at)
  closeSync(file)
}

const HELLO = B3Digest.of(Buffer.from('Hello World!'))

describe('verify', () => {
  test('a sound store, a damaged one, and the same mended from a daemon', async () => {
    const { path, run } = newStore()
    const tree = sampleTree(temporaryFolder())
    const [storePath] = (await run('import', tree)).lines
    const daemon = await startOnSocket('daemon')
    const address = `grpc+unix:${daemon.socket}`
    expect(await run('push', '--to', address, '--all')).toMatchObject({ code: 0, lines: [storePath] })
    const nar = (await run('nar', storePath!)).stdout
    expect(await run('verify', '--all', '--nar')).toMatchObject({ code: 0, stderr: '', lines: [] })
    expect(await neve(['verify', '--store', address, '-r', storePath!])).toMatchObject({ code: 0, lines: [] })

    await flip(path, HELLO)
    const damaged = await run('verify', storePath!)
    expect(damaged).toMatchObject({ code: 3, stderr: '' })
    const line = `${storePath}/hello: blob-damaged ${HELLO.toSri()}: `
    expect(damaged.lines).toEqual([expect.stringContaining(line)])
    const json = await run('verify', '--all', '--json')
    const [told, summary] = json.lines.map((text) => JSON.parse(text))
    expect([json.code, told]).toMatchObject([
      3,
      {
        storePath,
        damages: [
          { path: 'hello', kind: 'blob-damaged', digest: HELLO.toSri(), repaired: false, marked: false },
        ],
      },
    ])
    expect(summary).toMatchObject({ paths: 1, directories: 4, damages: 1, repaired: 0 })

    const mended = await run('verify', '--all', '--repair', '--from', address)
    expect(mended).toMatchObject({ code: 0, stderr: '' })
    expect(mended.lines).toEqual([expect.stringMatching(/: blob-damaged .* \(repaired\)$/)])
    expect(await run('verify', '--all', '--nar')).toMatchObject({ code: 0, lines: [] })
    expect((await run('nar', storePath!)).stdout.equals(nar)).toBe(true)
  })

  test('what no source has stays damaged, with status 3; so does a path that is not there', async () => {
    const { path, run } = newStore()
    const [storePath] = (await run('import', sampleTree(temporaryFolder()))).lines
    await flip(path, HELLO)
    const empty = newStore()
    expect(await empty.run('verify', '--all')).toMatchObject({ code: 1 })
    const other = join(temporaryFolder(), 'other')
    writeFileSync(other, 'other')
    await empty.run('import', other)
    const tried = await run('verify', '--all', '--repair', '--from', empty.path)
    expect([tried.code, tried.lines]).toEqual([
      3,
      [expect.stringMatching(/hello: blob-damaged .* \(marked\)$/)],
    ])
    const cat = await run('cat', `${storePath}/hello`)
    expect([cat.code, cat.stderr]).toEqual([1, expect.stringContaining('hello: its blob is missing')])
    const absent = storePath!.replace('sample', 'absent')
    const { code, lines } = await run('verify', absent)
    expect([code, lines]).toEqual([3, [`${absent}: path-info-missing: ${expectedName(absent, storePath!)}`]])
  })
  test('files on disk mend what is damaged', async () => {
    const { path, run } = newStore()
    const tree = sampleTree(temporaryFolder())
    await run('import', tree)
    await flip(path, HELLO)
    const mended = await run('verify', '--all', '--repair', '--from-path', join(tree, 'hello'))
    expect([mended.code, mended.lines]).toEqual([0, [expect.stringMatching(/\(repaired\)$/)]])
    expect(await run('verify', '--all')).toMatchObject({ code: 0, lines: [] })
  })

  test('goes on where it was interrupted, and counts what was before', async () => {
    const { path, run } = newStore()
    const folder = temporaryFolder()
    for (let i = 0; i < 4; i++) {
      writeFileSync(join(folder, `file-${i}`), `file ${i}`)
      await run('import', join(folder, `file-${i}`))
    }
    const state = join(folder, 'state')
    const digests: Uint8Array[] = []
    {
      await using store = await openLocalStore(path, { readOnly: true })
      for await (const digest of allPathDigests(store)) digests.push(digest)
    }
    await flip(path, B3Digest.of(Buffer.from('file 0')))
    const file = new VerifyStateFile(state, path)
    await file.write({ after: digests.at(-1)!, counts: { paths: 7, damages: 1, bytes: 70 } })
    const resumed = await run('verify', '--all', '--json', '--resume', state)
    expect([resumed.code, JSON.parse(resumed.lines[0]!)]).toMatchObject([
      3,
      { paths: 7, damages: 1, bytes: 70 },
    ])
    expect(existsSync(state)).toBe(false)
    const whole = await run('verify', '--all', '--json', '--resume', state, '--bandwidth', '10M')
    expect(JSON.parse(whole.lines.at(-1)!)).toMatchObject({ paths: 4, damages: 1, bytes: 4 * 6 })
    await file.write({ after: digests[0]!, counts: {} })
    await new VerifyStateFile(state, 'elsewhere').write({ after: digests[0]!, counts: {} })
    const other = await run('verify', '--all', '--resume', state)
    expect([other.code, other.stderr]).toEqual([1, expect.stringContaining('another verification')])
  })
})

function expectedName(absent: string, storePath: string): string {
  return `${absent} is here as ${storePath.slice('/nix/store/'.length)}`
}
