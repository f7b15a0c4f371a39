import { statSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { daysSinceUse, setLastUse } from './last-use.js'
import { missingMounts, startMount } from './mounts.js'
import { startDaemon } from './servers.js'
import { neve, newStore, requireReal, temporaryFolder } from './support.js'

/** A store with a store path that nobody has used for 40 days, as it says. */
async function oldStore() {
  const { path: store, run } = newStore()
  const file = join(temporaryFolder(), 'file')
  writeFileSync(file, 'granular snow')
  const path = (await run('import', file)).lines[0]!
  expect(await daysSinceUse(store, path)).toBe(0)
  await setLastUse(store, path, 40)
  expect(await daysSinceUse(store, path)).toBe(40)
  return { store, path, file }
}

type Use = (daemon: { readonly http: string; readonly grpc: string }, path: string, file: string) => unknown

const hashOf = (path: string): string => basename(path).slice(0, 32)
const USES: readonly (readonly [string, Use, number])[] = [
  ['got over gRPC', ({ grpc }, path) => neve(['path-info', '--store', grpc, path]), 0],
  ['put over gRPC', ({ grpc }, _, file) => neve(['import', '--store', grpc, file]), 0],
  ['looked up as a narinfo', ({ http }, path) => fetch(`${http}/${hashOf(path)}.narinfo`), 0],
  ['listed as a NAR', ({ http }, path) => fetch(`${http}/${hashOf(path)}.ls`), 0],
  ['told of among all others', ({ grpc }) => neve(['path-info', '--store', grpc, '--all']), 40],
]

test.each(USES)('a store path that is %s through a daemon is used', async (_, use, days) => {
  const { store, path, file } = await oldStore()
  const socket = join(temporaryFolder(), 's.sock')
  const daemon = await startDaemon(['-l', socket, '--http', '127.0.0.1:0', '--store', store], {}, 'daemon')
  await use(
    { http: daemon.urls.find((url) => url.startsWith('http:'))!, grpc: `grpc+unix:${socket}` },
    path,
    file,
  )
  expect(await daemon.stop()).toBe(0)
  expect(await daysSinceUse(store, path)).toBe(days)
})

test('one that is only served to readers records nothing', async () => {
  const { store, path } = await oldStore()
  const socket = join(temporaryFolder(), 's.sock')
  const daemon = await startDaemon(['-l', socket, '--store', store, '--read-only'], {}, 'daemon')
  expect((await neve(['path-info', '--store', `grpc+unix:${socket}`, path])).code).toBe(0)
  expect(await daemon.stop()).toBe(0)
  expect(await daysSinceUse(store, path)).toBe(40)
})

describe('a mount', () => {
  beforeEach((context) => requireReal(context, missingMounts()))

  test.each([
    ['records what is looked up', [], 0],
    ['records nothing without a lease', ['--no-lease'], 40],
  ])('%s', async (_, flags, days) => {
    const { store, path } = await oldStore()
    const mount = await startMount(['--store', store], {}, undefined, flags)
    expect(statSync(join(mount.place, basename(path))).size).toBe(13)
    expect(await mount.unmount()).toBe(0)
    expect(await daysSinceUse(store, path)).toBe(days)
  })
})
