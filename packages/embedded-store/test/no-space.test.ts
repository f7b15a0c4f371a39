import { spawnSync } from 'node:child_process'
import { rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { EmbeddedStore } from '@neve/embedded-store'
import { describe, expect, it, onTestFinished, type TestContext } from 'vitest'
import { bytes, codeOf, failure, keyOf, noise, temporaryFolder, writeAll } from './support.js'

const CHILD = fileURLToPath(new URL('./crash-child.mjs', import.meta.url))
const MIB = 1024 * 1024

/** A small file system of its own. Where mounting is not permitted, the test is skipped, unless it must run. */
function smallDisk(context: TestContext, mebibytes: number): string {
  const folder = temporaryFolder()
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', folder], {
    encoding: 'utf8',
  })
  if (mounted.status !== 0) {
    const reason = `cannot mount a tmpfs: ${mounted.stderr || mounted.error?.message}`
    if (process.env['NEVE_TEST_REQUIRE'] === 'all') throw new Error(reason)
    context.skip(reason)
  }
  onTestFinished(() => {
    spawnSync('umount', ['-l', folder])
  })
  return folder
}

/** Takes all but `left` bytes of a disk. */
function fill(disk: string, left: number): string {
  const path = join(disk, 'filler')
  rmSync(path, { force: true })
  const { bfree, bsize } = statfsSync(disk)
  writeFileSync(path, Buffer.alloc(Math.max(0, bfree * bsize - left), 1))
  return path
}

async function expectAll(store: EmbeddedStore, contents: readonly Uint8Array[]): Promise<void> {
  for (const content of contents) {
    expect(Buffer.compare((await store.readContent(keyOf(content)))!, content)).toBe(0)
  }
}

describe('a full disk', () => {
  it('fails the commit with no-space, keeps what was acknowledged, and writes on once there is room', async (context) => {
    const disk = smallDisk(context, 12)
    const folder = join(disk, 'store')
    const store = await EmbeddedStore.open(folder)
    writeFileSync(join(disk, 'filler'), Buffer.alloc(2 * MIB, 1))
    const acknowledged: Uint8Array[] = []
    let code = ''
    while (code === '') {
      const content = noise(MIB)
      try {
        await writeAll(store, [content])
        acknowledged.push(content)
      } catch (error) {
        code = codeOf(error)
      }
    }
    expect(code).toBe('no-space')
    expect(acknowledged.length).toBeGreaterThanOrEqual(3)
    await expectAll(store, acknowledged)
    expect(store.count('content')).toBe(acknowledged.length)

    rmSync(join(disk, 'filler'))
    const later = noise(MIB)
    await writeAll(store, [later])
    await expectAll(store, [...acknowledged, later])
    await store.close()

    const child = spawnSync(process.execPath, [CHILD, folder, 'q', '2'], { encoding: 'utf8', input: '' })
    expect(child.stderr).toBe('')
    expect(child.stdout).toContain('done')
    await using again = await EmbeddedStore.open(folder)
    await expectAll(again, [...acknowledged, later])
  })

  it('fails every session whose writes were lost, refuses their next writes, and serves new ones', async (context) => {
    const disk = smallDisk(context, 8)
    await using store = await EmbeddedStore.open(join(disk, 'store'))
    const before = noise(1000)
    await writeAll(store, [before])
    const [large, meanwhile, idle] = [store.write(), store.write(), store.write()]
    for (let i = 0; i < 12; i++) large.appendContent(keyOf(`large ${i}`), noise(MIB))
    const commit = failure(() => large.commit())
    meanwhile.appendContent(keyOf('meanwhile'), bytes('meanwhile'))
    meanwhile.put('directories', keyOf('meanwhile'), bytes('meanwhile'))
    expect(idle.joinPending(keyOf('meanwhile'))).toBe(true)
    const joined = failure(() => idle.commit())
    expect(await commit).toBe('no-space')
    expect(await joined).toBe('no-space')
    // What it wrote is lost: nothing that leans on it may get in before it knows.
    expect(await failure(() => meanwhile.put('directories', keyOf('more'), bytes('more')))).toBe('no-space')
    expect(await failure(() => meanwhile.commit())).toBe('no-space')
    expect(store.count('content')).toBe(1)
    expect(store.count('directories')).toBe(0)

    meanwhile.appendContent(keyOf('meanwhile'), bytes('meanwhile'))
    await meanwhile.commit()
    await large.commit()
    expect(Buffer.from((await store.readContent(keyOf('meanwhile')))!).toString()).toBe('meanwhile')
    await expectAll(store, [before])
  })

  it('that the tables meet, not the segment: no-space, nothing published, and the store goes on', async (context) => {
    const disk = smallDisk(context, 24)
    const folder = join(disk, 'store')
    const store = await EmbeddedStore.open(folder)
    const session = store.write()
    for (let i = 0; i < 20_000; i++) session.put('files', keyOf(`${i}`), bytes('a value of the first round'))
    await session.commit()
    const filler = fill(disk, 200 * 1024)
    for (let i = 0; i < 20_000; i++) session.put('files', keyOf(`${i}`), bytes('another value, second round'))
    expect(await failure(() => session.commit())).toBe('no-space')
    const values = new Set([...store.entries('files')].map(([, value]) => Buffer.from(value).toString()))
    expect([...values]).toEqual(['a value of the first round'])
    session.put('nars', keyOf('nar'), noise(3 * MIB))
    expect(await failure(() => session.commit())).toBe('no-space')

    rmSync(filler)
    session.put('files', keyOf('0'), bytes('third'))
    await session.commit()
    await store.close()
    await using again = await EmbeddedStore.open(folder)
    expect(Buffer.from(again.get('files', keyOf('0'))!).toString()).toBe('third')
    expect(again.count('files')).toBe(20_000)
  })

  it('can be opened and read, by this process and others, and a new store is refused', async (context) => {
    const disk = smallDisk(context, 8)
    const folder = join(disk, 'store')
    const content = noise(1000)
    {
      await using store = await EmbeddedStore.open(folder)
      await writeAll(store, [content])
    }
    fill(disk, 0)
    {
      await using store = await EmbeddedStore.open(folder)
      await expectAll(store, [content])
      expect(await failure(() => writeAll(store, [noise(100_000)]))).toBe('no-space')
    }
    await using reader = await EmbeddedStore.open(folder, { readOnly: true })
    await expectAll(reader, [content])
    expect(await failure(() => EmbeddedStore.open(join(disk, 'other')))).toBe('no-space')
  })
})
