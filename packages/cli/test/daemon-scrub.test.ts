import { closeSync, openSync, readFileSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { B3Digest } from '@neve/castore-model'
import { openLocalStore, VerifyStateFile } from '@neve/store-pathinfo'
import { expect, test } from 'vitest'
import { startDaemon } from './servers.js'
import { neve, newStore, sampleTree, temporaryFolder } from './support.js'

const HELLO = B3Digest.of(Buffer.from('Hello World!'))

/** Flips a bit of a stored blob. */
async function flip(store: string): Promise<void> {
  await using opened = await openLocalStore(store, { readOnly: true })
  const { segment, offset, storedLength } = opened.engine.locate(HELLO.bytes)!
  const file = openSync(join(store, 'segments', `${String(segment).padStart(10, '0')}.seg`), 'r+')
  const byte = Buffer.alloc(1)
  readSync(file, byte, 0, 1, offset + 52 + (storedLength >> 1))
  byte[0]! ^= 1
  writeSync(file, byte, 0, 1, offset + 52 + (storedLength >> 1))
  closeSync(file)
}

test('a scrub tells of damage in the log and in metrics, and goes on where a restart interrupted it', async () => {
  const { path, run } = newStore()
  const folder = temporaryFolder()
  const [storePath] = (await run('import', sampleTree(folder))).lines
  await flip(path)
  const state = join(folder, 'scrub.state')
  const args = [
    '--store',
    path,
    '-l',
    join(folder, 's.sock'),
    '--http',
    '127.0.0.1:0',
    '--scrub-state',
    state,
  ]
  const daemon = await startDaemon(
    [...args, '--scrub-every', '100ms', '--scrub-bandwidth', '1G'],
    {},
    'daemon',
  )
  await daemon.says('the scrub found damage')
  await daemon.says('1 damage: see neve verify')
  expect(daemon.stderr()).toContain(`store_path=${storePath}`)
  expect(daemon.stderr()).toContain(HELLO.toSri())
  const url = daemon.urls.find((one) => one.startsWith('http:'))!
  const metrics = await (await fetch(`${url}/metrics`)).text()
  expect(metrics).toMatch(/^neve_scrub_damages 1$/m)
  expect(metrics).toMatch(/^neve_scrub_runs [1-9]/m)
  expect(metrics).toMatch(/^neve_scrub_bytes [1-9]/m)
  expect(await daemon.stop()).toBe(0)

  // One that was interrupted behind the last store path has nothing left to do, and does not wait for its time.
  const file = new VerifyStateFile(state, 'the scrub of a daemon')
  await file.write({ after: Buffer.alloc(20, 0xff), counts: { paths: 5, bytes: 50, damages: 0 } })
  expect(readFileSync(state, 'utf8')).toContain('"paths":5')
  const again = await startDaemon([...args, '--scrub-every', '52w'], {}, 'daemon')
  await again.says('scrubbed 5 store paths, 50 B')
  expect(await again.stop()).toBe(0)
})

test('mistakes in its options are told before anything is served', async () => {
  for (const [args, reason] of [
    [['--scrub-every', 'often'], '--scrub-every "often"'],
    [['--scrub-every', '0'], 'must not be 0'],
    [['--scrub-every', '1d', '--scrub-bandwidth', 'x'], '--scrub-bandwidth "x"'],
    [['--scrub-bandwidth', '1M'], 'are for --scrub-every'],
  ] as const) {
    const told = await neve(['daemon', '-l', '127.0.0.1:0', '--store', join(temporaryFolder(), 's'), ...args])
    expect([told.code, told.stderr]).toEqual([2, expect.stringContaining(reason)])
  }
})
