import { join } from 'node:path'
import { SymlinkTarget } from '@neve/castore-model'
import { openGrpcChannel } from '@neve/castore-services/grpc'
import { StorePath } from '@neve/nix-compat'
import type { PathInfo } from '@neve/store-pathinfo'
import { GrpcPathInfoService } from '@neve/store-pathinfo/grpc'
import { expect, test } from 'vitest'
import { startDaemon } from './servers.js'
import { noise, temporaryFolder } from './support.js'

const COUNT = 40

/** Path infos of some 100 KB each, so that a list of them does not fit into what may be on its way. */
function largePathInfo(seed: number): PathInfo {
  const path = (number: number): StorePath =>
    new StorePath(noise(20, seed * 1000 + number), `${number}-${'reference'.repeat(20)}`)
  return {
    storePath: path(0),
    node: { kind: 'symlink', target: SymlinkTarget.from('/nix/store/somewhereelse') },
    references: Array.from({ length: 500 }, (_, index) => path(index + 1)).sort(StorePath.compare),
    narSize: 136n,
    narSha256: noise(32, seed),
    signatures: [],
    deriver: undefined,
    ca: undefined,
  }
}

test.each([1, 2])(
  '08#8 SIGTERM during a List: it ends whole, and so does the daemon; %i workers',
  async (workers) => {
    const folder = temporaryFolder()
    const flags = [
      '-l',
      join(folder, 'socket'),
      '--store',
      join(folder, 'store'),
      '--workers',
      String(workers),
    ]
    const daemon = await startDaemon([...flags, '--grace', '60'], {}, 'daemon')
    {
      await using channel = await openGrpcChannel(daemon.urls[0]!)
      const pathInfos = new GrpcPathInfoService(channel)
      for (let seed = 1; seed <= COUNT; seed++) await pathInfos.put(largePathInfo(seed))
    }
    // The server may send ahead 64 KiB: the rest is still to be sent when it is told to stop.
    await using channel = await openGrpcChannel(daemon.urls[0]!, { window: 65_535 })
    const found = new Set<string>()
    for await (const { storePath } of new GrpcPathInfoService(channel).list()) {
      if (found.size === 0) {
        daemon.child.kill('SIGTERM')
        await daemon.says('neve: stopping')
      }
      found.add(storePath.toString())
    }
    expect(found.size).toBe(COUNT)
    expect(await daemon.ended).toBe(0)
  },
)

test('08#9 a daemon writes nothing on standard output, whatever happens', async () => {
  const folder = temporaryFolder()
  const flags = ['-l', join(folder, 'socket'), '-l', '127.0.0.1:0', '--store', join(folder, 'store')]
  const daemon = await startDaemon(flags, { NEVE_DEBUG: '1' }, 'daemon')
  let stdout = ''
  daemon.child.stdout!.on('data', (piece) => (stdout += piece))
  await using channel = await openGrpcChannel(daemon.urls[1]!)
  const pathInfos = new GrpcPathInfoService(channel)
  await pathInfos.put(largePathInfo(1))
  expect(await pathInfos.get(noise(20))).toBeUndefined()
  expect([await daemon.stop(), stdout]).toEqual([0, ''])
})
