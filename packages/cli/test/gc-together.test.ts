import { existsSync, readdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Collection } from '@neve/castore-services/object-gc'
import { openObjectStore } from '@neve/castore-services/object-store'
import { openLocalStore } from '@neve/store-pathinfo'
import { expect, test, vi } from 'vitest'
import { describeWithServer, newPrefix } from '../../castore-services/test/servers/object-server.js'
import { VERSITYGW } from '../../castore-services/test/servers/versitygw.js'
import { setLastUse } from './last-use.js'
import { type Daemon, startDaemon } from './servers.js'
import { neve, noise, temporaryFolder } from './support.js'

const DAY = 86_400_000
const PATIENT = { timeout: 60_000, interval: 200 }

/** Makes all files below a folder look as if they had been written some days ago. */
function age(folder: string, days: number): void {
  const then = new Date(Date.now() - days * DAY)
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    try {
      utimesSync(join(entry.parentPath, entry.name), then, then)
    } catch (error) {
      // Others may write meanwhile.
      if (!existsSync(join(entry.parentPath, entry.name))) continue
      throw error
    }
  }
}

/** A bucket of two store paths, the first with a root, which nobody has used for nine days. @param folder where it lies */
async function oldBucket(address: string, folder: string) {
  const run = (...args: string[]) => neve(['--store', address, ...args])
  const files = [1, 2].map((number) => join(temporaryFolder(), `file-${number}`))
  for (const [number, file] of files.entries()) writeFileSync(file, noise(100_000, number + 1))
  const [one] = (await run('import', '--add-root', 'first', files[0]!)).lines as [string]
  const [two] = (await run('import', files[1]!)).lines as [string]
  expect((await run('gc')).code).toBe(1)
  age(folder, 9)
  const told = async () => (await run('path-info', '--all')).lines.map((line) => line.split(/\s/)[0]!)
  return { run, one, two, told }
}

const serve = (...args: string[]): Promise<Daemon> =>
  startDaemon(
    ['-l', join(temporaryFolder(), 's.sock'), ...args, '--gc-every', '1s', '--log-format', 'json'],
    {},
    'daemon',
  )

/** What a daemon has said, by how grave it is. */
function saidBy(daemon: Daemon, level: string): string[] {
  const lines = daemon
    .stderr()
    .split('\n')
    .filter((line) => line.startsWith('{'))
  return lines
    .map((line) => JSON.parse(line))
    .filter((said) => said.level === level)
    .map(({ msg }) => msg)
}

test('while somebody else collects in a bucket, a daemon says so calmly, and does it at a later turn', async () => {
  const bucket = join(temporaryFolder(), 'bucket')
  const address = `objectstore+file://${bucket}`
  const { one, told } = await oldBucket(address, bucket)
  const objects = await openObjectStore(`file://${bucket}`)
  const other = await Collection.begin(objects, {})
  const daemon = await serve('--store', address)
  async function* nothing() {
    yield { key: 'chunks/b3/none', size: 0 }
  }
  const isTold = (): boolean => saidBy(daemon, 'info').some((text) => text.includes('by somebody else'))
  // One that does not stir for two minutes would count as killed.
  while (!isTold()) for await (const _ of other.sweep(nothing(), 0, { rescue: async () => {} }, {}));
  expect(saidBy(daemon, 'info').join('\n')).toContain(`not collected now in ${address}: `)
  expect(await told()).toHaveLength(2)
  await other[Symbol.asyncDispose]()
  await objects.close?.()
  await vi.waitFor(async () => expect(await told()).toEqual([one]), PATIENT)
  expect(saidBy(daemon, 'error')).toEqual([])
  expect(await daemon.stop()).toBe(0)
})

test('so it does in an embedded store', async () => {
  const folder = temporaryFolder()
  const store = join(folder, 'store')
  writeFileSync(join(folder, 'file'), noise(100_000))
  const [path] = (await neve(['import', '--store', store, join(folder, 'file')])).lines as [string]
  await setLastUse(store, path, 9)
  const opened = await openLocalStore(store)
  const other = opened.engine.collect()
  const rules = ['--keep-used-within', '1d', '--gc-grace', '0s']
  const daemon = await serve('--store', store, ...rules)
  const isTold = () => expect(saidBy(daemon, 'info').join('\n')).toContain(`not collected now in ${store}: `)
  await vi.waitFor(isTold, PATIENT)
  other[Symbol.dispose]()
  await opened.close()
  const isGone = async () => expect((await neve(['path-info', '--store', store, '--all'])).lines).toEqual([])
  await vi.waitFor(isGone, PATIENT)
  expect(saidBy(daemon, 'error')).toEqual([])
  expect(await daemon.stop()).toBe(0)
})

describeWithServer(VERSITYGW, (server) => {
  test('daemons collect in one bucket by their schedules, each what the others have left', async () => {
    const prefix = newPrefix()
    const { options, process: gateway } = server()
    const address = `objectstore+s3://bucket/${prefix}`
    const whole = `${address}?${new URLSearchParams(options)}`
    const folder = join(gateway.folder, 'data/bucket', prefix)
    const { run, one, two, told } = await oldBucket(whole, folder)
    const flags = ['--store', whole, '--max-size', '150000']
    const daemons = await Promise.all([serve(...flags), serve(...flags), serve(...flags)])
    await vi.waitFor(async () => expect(await told()).toEqual([one]), PATIENT)
    const removed = () => expect(daemons.map((daemon) => daemon.stderr()).join('')).toMatch(/: [1-9]\d* entr/)
    await vi.waitFor(removed, PATIENT)
    // What goes for its size may come back, and goes again when it is old.
    const file = join(temporaryFolder(), 'file-2')
    writeFileSync(file, noise(100_000, 2))
    expect((await run('import', file)).lines).toEqual([two])
    expect((await told()).sort()).toEqual([one, two].sort())
    age(folder, 9)
    await vi.waitFor(async () => expect(await told()).toEqual([one]), PATIENT)
    for (const daemon of daemons) {
      expect(saidBy(daemon, 'error')).toEqual([])
      expect(daemon.stderr()).not.toContain(options['aws_secret_access_key'])
      expect(await daemon.stop()).toBe(0)
    }
    expect(await run('verify', '--all', '--nar')).toMatchObject({ code: 0, lines: [] })
  })
})
