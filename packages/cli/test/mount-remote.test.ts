import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { look, missingMounts, startMount } from './mounts.js'
import { startDaemon } from './servers.js'
import { neve, noise, requireReal, temporaryFolder } from './support.js'

/** How a read ended: the error number's name, or the hash of what was read. It may take a minute, not more. */
async function readOf(path: string): Promise<string> {
  const program = `
import errno, hashlib, sys
try: print(hashlib.sha256(open(sys.argv[1], 'rb', buffering=0).read()).hexdigest())
except OSError as error: print(errno.errorcode[error.errno])`
  return (await look('python3', ['-c', program, path])).trim()
}

describe('a mount of a daemon', () => {
  beforeEach((context) => requireReal(context, missingMounts()))

  test('that is killed and comes back: EIO meanwhile, then all is well, and nobody hangs', async () => {
    const folder = temporaryFolder()
    const [store, socket] = [join(folder, 'served'), join(folder, 'socket')]
    const start = () => startDaemon(['-l', socket, '--store', store], {}, 'daemon')
    const names: string[] = []
    for (const [index, size] of [100, 5_000_000, 5_000_000].entries()) {
      const file = join(folder, `file-${index}`)
      writeFileSync(file, noise(size, index))
      const { lines } = await neve(['--store', store, 'import', file])
      names.push(lines[0]!.split('/').at(-1)!)
    }
    const hashes = await Promise.all(names.map((_, index) => readOf(join(folder, `file-${index}`))))
    const first = await start()
    const mount = await startMount(['--store', `grpc+unix:${socket}`])
    const [small = '', large = '', other = ''] = names.map((name) => join(mount.place, name))
    expect(await readOf(small)).toBe(hashes[0])
    expect(await readOf(large)).toBe(hashes[1])
    first.child.kill('SIGKILL')
    await first.ended
    for (const path of [small, other, other]) expect(await readOf(path)).toBe('EIO')
    if (!mount.stderr().includes(names[2]!)) await once(mount.child.stderr!, 'data')
    expect(mount.stderr()).toContain(names[2])
    rmSync(socket)
    const second = await start()
    while ((await readOf(other)) === 'EIO');
    for (const [index, path] of [small, large, other].entries())
      expect(await readOf(path)).toBe(hashes[index])
    expect(await mount.unmount()).toBe(0)
    expect(await second.stop()).toBe(0)
  })
})
