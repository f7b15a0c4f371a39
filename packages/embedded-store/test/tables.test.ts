import { spawnSync } from 'node:child_process'
import { chmodSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { EmbeddedStore } from '@neve/embedded-store'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Tables } from '../src/tables.js'
import { bytes, keyOf, noise, temporaryFolder, writeAll } from './support.js'

describe('the LMDB environment', () => {
  it('takes more than the map it was opened with', async () => {
    const tables = new Tables(join(temporaryFolder(), 'tables'), false, { mapSize: 1024 * 1024 })
    const value = noise(1000)
    for (let round = 0; round < 10; round++) {
      const entries = Array.from(
        { length: 2000 },
        (_, i) => ({ table: 'files', key: keyOf(`${round} ${i}`), value }) as const,
      )
      await tables.publish({ content: new Map(), entries, segments: new Map() })
      expect(tables.count('files')).toBe(2000 * (round + 1))
    }
    expect(Buffer.compare(tables.get('files', keyOf('0 0'))!, value)).toBe(0)
    await tables.close()
    await tables.close()
  })

  it('publishes all of a commit or nothing, also to readers in between', async () => {
    const path = join(temporaryFolder(), 'tables')
    const [writer, reader] = [new Tables(path, false), new Tables(path, true)]
    let running = true
    const looking = (async () => {
      while (running) {
        const values = new Set([...reader.entries('files')].map(([, value]) => Buffer.from(value).toString()))
        expect(values.size).toBeLessThanOrEqual(1)
        await new Promise((resolve) => setImmediate(resolve))
      }
    })()
    for (let round = 0; round < 20; round++) {
      const entries = Array.from(
        { length: 300 },
        (_, i) => ({ table: 'files', key: keyOf(`${i}`), value: bytes(`round ${round}`) }) as const,
      )
      await writer.publish({ content: new Map(), entries, segments: new Map() })
    }
    running = false
    await looking
    await reader.close()
    await writer.close()
  })
})

describe('permissions', () => {
  const script = `
    import { EmbeddedStore } from '@neve/embedded-store'
    try {
      await (await EmbeddedStore.open(process.argv[1], { readOnly: process.argv[2] === 'read' })).close()
      console.log('opened')
    } catch (error) {
      console.log(error.code)
    }`
  const openAsNobody = (folder: string, how: 'read' | 'write'): string => {
    const node = process.execPath
    const cwd = fileURLToPath(new URL('..', import.meta.url))
    const args = ['--input-type=module', '-e', script, folder, how]
    const child = spawnSync(node, args, { cwd, uid: 65534, gid: 65534, encoding: 'utf8' })
    return child.stdout.trim() || `${child.signal} ${child.stderr}`
  }

  it('a store that may not be written is refused with no-permission, not with a crash', async (context) => {
    const mayBeSomebodyElse = process.geteuid?.() === 0 && openAsNobody('/nonexistent/store', 'read') !== ''
    if (!mayBeSomebodyElse) context.skip('only root can become somebody else')
    const folder = temporaryFolder()
    chmodSync(folder, 0o755)
    await using store = await EmbeddedStore.open(folder)
    await writeAll(store, [bytes('content')])
    expect(openAsNobody(folder, 'write')).toBe('no-permission')
    expect(openAsNobody(folder, 'read')).toBe('no-permission')
  })
  it('a store whose lock file alone may be written can be read', async (context) => {
    if (process.geteuid?.() !== 0) context.skip('only root can become somebody else')
    const folder = temporaryFolder()
    chmodSync(folder, 0o755)
    await using store = await EmbeddedStore.open(folder)
    await writeAll(store, [bytes('content')])
    chmodSync(join(folder, 'tables/lock.mdb'), 0o666)
    chmodSync(join(folder, 'tables/data.mdb'), 0o644)
    expect(openAsNobody(folder, 'read')).toBe('opened')
    expect(openAsNobody(folder, 'write')).toBe('no-permission')
  })

  it('a store on a file system that is mounted read-only can be read', async (context) => {
    const disk = temporaryFolder()
    const mount = (...args: string[]): boolean => spawnSync('mount', args).status === 0
    if (!mount('-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', disk)) {
      if (process.env['NEVE_TEST_REQUIRE'] === 'all') throw new Error('cannot mount a tmpfs')
      context.skip('cannot mount a tmpfs')
    }
    onTestFinished(() => {
      spawnSync('umount', ['-l', disk])
    })
    {
      await using store = await EmbeddedStore.open(join(disk, 'store'))
      await writeAll(store, [bytes('content')])
    }
    expect(mount('-o', 'remount,ro', disk)).toBe(true)
    await using store = await EmbeddedStore.open(join(disk, 'store'), { readOnly: true })
    expect(Buffer.from((await store.readContent(keyOf('content')))!).toString()).toBe('content')
    await store.close()

    // As on a medium that the tables were copied to without it.
    expect(mount('-o', 'remount,rw', disk)).toBe(true)
    rmSync(join(disk, 'store', 'tables', 'lock.mdb'))
    expect(mount('-o', 'remount,ro', disk)).toBe(true)
    await using copy = await EmbeddedStore.open(join(disk, 'store'), { readOnly: true })
    expect(Buffer.from((await copy.readContent(keyOf('content')))!).toString()).toBe('content')
  })
})
