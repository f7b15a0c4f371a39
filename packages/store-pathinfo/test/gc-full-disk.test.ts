import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, mkdirSync, openSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { EmbeddedStore } from '@neve/embedded-store'
import { allPathDigests, verifyPaths } from '@neve/store-pathinfo'
import { collectGarbage, setRoot } from '@neve/store-pathinfo/gc'
import { describe, expect, it, onTestFinished, type TestContext } from 'vitest'
import { openSmallStore } from './disk/scenario.mjs'
import { failureOf, temporaryFolder } from './support.js'

const MIB = 1024 * 1024
const DISK = 128 * MIB

function mount(context: TestContext, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync('mount', args, { encoding: 'utf8' })
  if (status === 0) return
  const reason = `cannot mount: ${stderr || error?.message}`
  if (process.env['NEVE_TEST_REQUIRE'] === 'all') throw new Error(reason)
  context.skip(reason)
}

const disks = {
  tmpfs(context: TestContext, folder: string): void {
    mount(context, ['-t', 'tmpfs', '-o', `size=${DISK}`, 'tmpfs', folder])
  },
  ext4(context: TestContext, folder: string): void {
    const image = join(temporaryFolder(), 'image')
    writeFileSync(image, '')
    truncateSync(image, DISK)
    const made = spawnSync('mkfs.ext4', ['-q', '-m', '0', image], { encoding: 'utf8' })
    if (made.status !== 0) {
      const reason = `cannot make a file system: ${made.stderr || made.error?.message}`
      if (process.env['NEVE_TEST_REQUIRE'] === 'all') throw new Error(reason)
      context.skip(reason)
    }
    mount(context, ['-o', 'loop', image, folder])
  },
}

/** Takes every block that is left. */
function fill(disk: string): void {
  const descriptor = openSync(join(disk, 'filler'), 'w')
  try {
    for (let size = MIB; size >= 512; ) {
      try {
        writeSync(descriptor, Buffer.alloc(size, 1))
      } catch (error) {
        expect(error).toMatchObject({ code: 'ENOSPC' })
        size /= 2
      }
    }
  } finally {
    closeSync(descriptor)
  }
}

describe.each(Object.entries(disks))('on a full disk, %s', (_, make) => {
  it('garbage is collected and its space given back, without anything being freed by hand', async (context) => {
    const disk = temporaryFolder()
    make(context, disk)
    onTestFinished(() => {
      spawnSync('umount', ['-l', disk])
    })
    const path = join(disk, 'store')
    const trees = temporaryFolder()
    const store = await openSmallStore(path, { segmentSize: 4 * MIB })
    // What is kept lies between what is not, so that a part of each segment has to be copied.
    for (let number = 0; number < 20; number++) {
      const tree = join(trees, String(number))
      mkdirSync(tree)
      const isKept = number % 4 === 0
      for (let i = 0; i < 200; i++) writeFileSync(join(tree, String(i)), randomBytes(isKept ? 1000 : 10_000))
      const { storePath } = await store.importPath(tree)
      if (isKept) await setRoot(store.engine!, { name: `kept-${number}`, target: storePath })
    }
    fill(disk)
    const more = join(trees, 'more')
    mkdirSync(more)
    for (let i = 0; i < 500; i++) writeFileSync(join(more, String(i)), randomBytes(10_000))
    expect(await failureOf(() => store.importPath(more))).toMatchObject({ code: 'no-space' })
    await store.close()
    fill(disk)

    const report = await collectGarbage(path, { olderThan: 0 })
    expect(report.paths.length).toBe(15)
    expect(report.freedBytes).toBeGreaterThan(20 * MIB)
    await using after = await openSmallStore(path)
    await after.importPath(more)
    let paths = 0
    for await (const { damages } of verifyPaths(after, allPathDigests(after), { nar: true })) {
      expect(damages).toEqual([])
      paths++
    }
    expect(paths).toBe(6)
    // It is ready for the next time.
    rmSync(join(disk, 'filler'))
    using collector = (await EmbeddedStore.open(path)).collect()
    expect(collector.cutShort).toBe(false)
  })
})
