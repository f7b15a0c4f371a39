import { spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { objectStoreContract } from '@neve/castore-services/contract'
import { FileObjectStore } from '@neve/castore-services/object-store'
import { describe, expect, it, onTestFinished, type TestContext } from 'vitest'
import { loadTryLock } from '../src/object-store/file-system-calls.js'
import { temporaryFolder } from './embedded-fixture.js'

const CHILD = fileURLToPath(new URL('./object-store-child.mjs', import.meta.url))
const HEX = '41f8394111eb713a22165c46c90ab8f0fd9399c92028fd6d288944b23ff5bf76'

objectStoreContract('files', { create: () => new FileObjectStore({ root: join(temporaryFolder(), 'a/b') }) })
objectStoreContract('files, each synced', {
  create: () => new FileObjectStore({ root: temporaryFolder(), syncFilesystem: false }),
})

describe('files', () => {
  it('are named as their keys, and nothing is beside them', async () => {
    const store = openStore(join(temporaryFolder(), 'not/there/yet'))
    await store.put(`blobs/b3/41f8/${HEX}`, bytes('Hello World'))
    await store.putIfAbsent(`chunks/b3/41f8/${HEX}`, bytes(''))
    expect(everything(store.root)).toEqual([`blobs/b3/41f8/${HEX}`, `chunks/b3/41f8/${HEX}`])
    expect(readFileSync(join(store.root, `blobs/b3/41f8/${HEX}`), 'utf8')).toBe('Hello World')
    expect(store.name).toBe(pathToFileURL(store.root).href)
  })

  it('that a crash left half written are neither listed nor read', async () => {
    const store = openStore()
    await store.put('a/b', bytes('x'))
    writeFileSync(join(store.root, 'a/~4x-1'), 'half')
    writeFileSync(join(store.root, 'a/file of somebody else'), 'y')
    expect(await listed(store)).toEqual(['a/b'])
    await expect(store.get('a/~4x-1')).rejects.toMatchObject({ code: 'invalid-input' })
  })

  it('are read by another store, and another process', async () => {
    const root = temporaryFolder()
    const child = spawnSync(process.execPath, [CHILD, root, 'writes'], { encoding: 'utf8', timeout: 60_000 })
    expect(child).toMatchObject({ status: 0, stdout: 'done\n' })
    const store = openStore(root)
    expect(await listed(store)).toHaveLength(20)
    expect(Buffer.from((await store.get('a/7'))!).equals(content(7))).toBe(true)
  })

  it('are replaced under a condition by several processes at once, and nothing is lost', async () => {
    const root = temporaryFolder()
    const store = openStore(root)
    await store.put('marks', bytes(''))
    const children = [1, 2, 3].map(() => {
      const child = spawn(process.execPath, [CHILD, root, 'marks'], { stdio: ['ignore', 'pipe', 'inherit'] })
      child.stdout.resume()
      return child
    })
    const codes = await Promise.all(
      children.map((child) => new Promise((resolve) => child.on('close', (code) => resolve(code)))),
    )
    expect(codes).toEqual([0, 0, 0])
    const lines = Buffer.from((await store.get('marks'))!)
      .toString()
      .trimEnd()
      .split('\n')
    const expected = children.flatMap(({ pid }) =>
      Array.from({ length: 50 }, (_, number) => `${pid} ${number}`),
    )
    expect(lines.toSorted()).toEqual(expected.toSorted())
    expect(await listed(store)).toEqual(['marks'])
  }, 60_000)

  it('are replaced by one of many callers that expect the same', async () => {
    const store = openStore()
    await store.put('a/b', bytes('x'))
    const replacing = Array.from({ length: 20 }, (_, number) =>
      store.replace!('a/b', bytes('x'), bytes(`y${number}`)),
    )
    const done = await Promise.all(replacing)
    expect(done.filter(Boolean)).toHaveLength(1)
    expect(Buffer.from((await store.get('a/b'))!).toString()).toBe(`y${done.indexOf(true)}`)
  })

  it('are not replaced while another process has the lock, for as long as the caller waits', async () => {
    const store = openStore()
    await store.put('a/b', bytes('x'))
    expect(await store.replace!('a/b', bytes('x'), bytes('y'))).toBe(true)
    const [shard] = readdirSync(join(store.root, '~locks'))
    const held = openSync(join(store.root, '~locks', shard!), 'r')
    expect(loadTryLock()!(held)).toBe(true)
    const reason = new Error('not wanted any more')
    const controller = new AbortController()
    const waiting = store.replace!('a/b', bytes('y'), bytes('z'), { signal: controller.signal })
    controller.abort(reason)
    await expect(waiting).rejects.toBe(reason)
    expect(Buffer.from((await store.get('a/b'))!).toString()).toBe('y')
    closeSync(held)
    expect(await store.replace!('a/b', bytes('y'), bytes('z'))).toBe(true)
  })

  it('are all there that were acknowledged before a crash, and whole', async () => {
    const root = temporaryFolder()
    const child = spawn(process.execPath, [CHILD, root, 'endless'], { stdio: ['ignore', 'pipe', 'inherit'] })
    let told = ''
    await new Promise<void>((resolve) => {
      child.stdout.on('data', (text: Buffer) => {
        told += text
        if (told.length > 5000) child.kill('SIGKILL')
      })
      child.once('close', () => resolve())
    })
    const acknowledged = told.split('\n').slice(0, -1).map(Number)
    expect(acknowledged.length).toBeGreaterThan(500)
    const store = openStore(root)
    const names = new Set(await listed(store))
    expect(acknowledged.filter((number) => !names.has(`${number % 10}/${number}`))).toEqual([])
    for (const name of names) {
      const number = Number(name.split('/')[1])
      expect(Buffer.from((await store.get(name))!).equals(content(number)), name).toBe(true)
    }
  })

  it('are written in batches: five thousand at once, some of them twice', async () => {
    const store = openStore()
    const before = openDescriptors()
    const numbers = Array.from({ length: 5000 }, (_, index) => index % 4900)
    await Promise.all(
      numbers.map((number) => store.put(`s/${(number % 256).toString(16)}/${number}`, content(number))),
    )
    expect(await listed(store)).toHaveLength(4900)
    expect(everything(store.root)).toHaveLength(4900)
    const found = await Promise.all(
      numbers.map(async (number) => store.get(`s/${(number % 256).toString(16)}/${number}`)),
    )
    expect(found.every((bytes, index) => content(numbers[index]!).equals(Buffer.from(bytes!)))).toBe(true)
    await store.close()
    expect(openDescriptors() - before).toBeLessThan(5)
  })

  it.each([0, 3000])(
    'of %i bytes are written once, of many puts if absent at the same time',
    async (length) => {
      const store = openStore()
      const keys = Array.from({ length: 200 }, (_, number) => `a/${number}`)
      const once = () => Promise.all(keys.map((key) => store.putIfAbsent(key, Buffer.alloc(length, key))))
      const written = (await Promise.all([once(), once(), once()])).flat()
      expect(written.filter(Boolean)).toHaveLength(keys.length)
      expect(await once()).toEqual(keys.map(() => false))
      expect(everything(store.root)).toHaveLength(keys.length)
      await Promise.all(keys.map((key) => store.put(key, bytes(key))))
      expect(Buffer.from((await store.get('a/7'))!).toString()).toBe('a/7')
      await Promise.all(keys.map((key) => store.put(key, bytes(''))))
      expect(await store.get('a/7')).toHaveLength(0)
    },
  )

  it('have their folder made again when somebody has removed it', async () => {
    const store = openStore()
    for (const count of [1, 20]) {
      const puts = () =>
        Promise.all(Array.from({ length: count }, (_, number) => store.put(`a/b/${number}`, content(number))))
      await puts()
      rmSync(join(store.root, 'a'), { recursive: true })
      await puts()
      expect(everything(store.root)).toHaveLength(count)
    }
  })

  it('are not written when the put is cancelled while it waits for its batch', async () => {
    const store = openStore()
    const controller = new AbortController()
    const reason = new Error('not wanted any more')
    const cancelled = store.put('cancelled', bytes('x'), { signal: controller.signal })
    const other = store.put('other', bytes('x'))
    controller.abort(reason)
    await expect(cancelled).rejects.toBe(reason)
    await other
    expect(await listed(store)).toEqual(['other'])
  })

  it('are finished before close ends', async () => {
    const store = openStore()
    const putting = Promise.all(
      Array.from({ length: 300 }, (_, number) => store.put(`${number}`, content(number))),
    )
    await store.close()
    await putting
    expect(everything(store.root)).toHaveLength(300)
  })

  it('may lie behind links, on another file system too', async (context) => {
    const disk = smallDisk(context, 4)
    const store = openStore()
    symlinkSync(disk, join(store.root, 'blobs'))
    await Promise.all(
      Array.from({ length: 20 }, (_, number) => store.put(`blobs/x/${number}`, content(number))),
    )
    expect(everything(disk)).toHaveLength(20)
    expect(await listed(store)).toHaveLength(20)
    expect(Buffer.from((await store.get('blobs/x/3'))!).equals(content(3))).toBe(true)
  })
})

describe('trouble with files', () => {
  it('a file where a folder has to be, and the other way round', async () => {
    const store = openStore()
    await store.put('a', bytes('x'))
    await store.put('b/c', bytes('x'))
    expect(await store.get('a/b')).toBeUndefined()
    expect(await store.head('a/b')).toBeUndefined()
    expect(await store.get('b')).toBeUndefined()
    expect(await store.head('b')).toBeUndefined()
    const put = store.put('a/b', bytes('y'))
    await expect(put).rejects.toMatchObject({ name: 'CastoreError', code: 'storage' })
    await expect(put).rejects.toThrow('cannot write object a/b: a file is where a folder has to be')
    await expect(store.put('b', bytes('y'))).rejects.toMatchObject({ code: 'storage' })
    expect(everything(store.root)).toEqual(['a', 'b/c'])
  })

  it('spoils only the object that has it', async () => {
    const store = openStore()
    await store.put('a', bytes('x'))
    const outcomes = await Promise.allSettled(
      Array.from({ length: 50 }, (_, number) =>
        store.put(number % 10 ? `b/${number}` : `a/${number}`, bytes('y')),
      ),
    )
    expect(outcomes.map(({ status }) => status)).toEqual(
      outcomes.map((_, number) => (number % 10 ? 'fulfilled' : 'rejected')),
    )
    expect(everything(store.root)).toHaveLength(46)
  })

  it('spoils only that one of those that were handed over together', async () => {
    const store = openStore()
    await store.put('a', bytes('x'))
    const objects = Array.from({ length: 50 }, (_, number) => ({
      key: number === 7 ? 'a/7' : `b/${number}`,
      content: bytes('y'),
    }))
    await expect(store.putAllIfAbsent(objects)).rejects.toMatchObject({
      code: 'storage',
      message: expect.stringContaining('a/7'),
    })
    expect(everything(store.root)).toHaveLength(50)
  })

  it('a name that is too long', async () => {
    const store = openStore()
    const put = store.put('x'.repeat(300), bytes('y'))
    await expect(put).rejects.toMatchObject({ code: 'storage' })
    await expect(put).rejects.toThrow('longer than the file system allows')
  })

  it('no permission', ({ skip }) => {
    if (process.getuid?.() !== 0) skip('only root can give up its rights')
    const root = temporaryFolder()
    const child = runAsNobody(root)
    expect(child.status, child.stderr).toBe(0)
    expect(child.stdout.trim().split('\n')).toEqual([
      expect.stringMatching(/^storage: cannot write object a\/b: permission denied \(file:\/\//),
      expect.stringMatching(/^storage: cannot read object c: permission denied \(file:\/\//),
      expect.stringMatching(/^storage: cannot look for object d\/e: permission denied \(file:\/\//),
    ])
  })

  for (const count of [3, 100]) {
    it(`a full disk fails ${count} puts, loses nothing, and they work when there is room`, async (context) => {
      const disk = smallDisk(context, 16)
      const store = openStore(join(disk, 'store'))
      await store.put('before', content(1))
      const filler = fill(disk, 64 * 1024)
      const puts = (make: (number: number) => Uint8Array) =>
        Array.from({ length: count }, (_, number) => store.put(`full/${number}`, make(number)))
      for (const outcome of await Promise.allSettled(puts(() => Buffer.alloc(200_000, 1)))) {
        expect(outcome).toMatchObject({
          status: 'rejected',
          reason: {
            name: 'CastoreError',
            code: 'storage',
            message: expect.stringContaining('no space left on'),
          },
        })
      }
      expect(everything(store.root)).toEqual(['before'])
      rmSync(filler)
      await Promise.all(puts(content))
      expect(await listed(store)).toHaveLength(count + 1)
      expect(Buffer.from((await store.get('before'))!).equals(content(1))).toBe(true)
    })
  }
})

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
  const { bfree, bsize } = statfsSync(disk)
  writeFileSync(path, Buffer.alloc(Math.max(0, bfree * bsize - left), 1))
  return path
}

function openStore(root = temporaryFolder()): FileObjectStore {
  const store = new FileObjectStore({ root })
  onTestFinished(() => store.close())
  return store
}

function content(number: number): Buffer {
  return Buffer.alloc(1000 + (number % 5000), `${number};`)
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

async function listed(store: FileObjectStore): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of store.list('')) keys.push(key)
  return keys
}

/** All files below a folder, whatever their names. */
function everything(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort()
}

function openDescriptors(): number {
  return process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0
}

function runAsNobody(root: string) {
  chmodSync(root, 0o755)
  mkdirSync(join(root, 'd'), { mode: 0o700 })
  writeFileSync(join(root, 'c'), 'x', { mode: 0o600 })
  return spawnSync(process.execPath, [CHILD, root, 'denied'], { encoding: 'utf8', timeout: 60_000 })
}
