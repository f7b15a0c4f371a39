import { join } from 'node:path'
import { type Collector, EmbeddedStore, type StoredKey } from '@neve/embedded-store'
import { expect, it } from 'vitest'
import { bytes, failure, keyOf, noise, prose, segmentFiles, temporaryFolder, writeAll } from './support.js'

const content = (text: string): StoredKey => ({ what: 'content', key: keyOf(text) })
const directory = (text: string): StoredKey => ({ what: 'directories', key: keyOf(text) })

async function drain<T>(steps: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const step of steps) all.push(step)
  return all
}

/** Makes a store with content and directories under the digests of their names, and closes it. */
async function storeWith(folder: string, names: readonly string[], segmentSize?: number): Promise<void> {
  await using store = await EmbeddedStore.open(folder, segmentSize === undefined ? {} : { segmentSize })
  await write(store, names)
}

async function write(store: EmbeddedStore, names: readonly string[]): Promise<void> {
  const session = store.write()
  for (const name of names) {
    session.appendContent(keyOf(name), bytes(`content of ${name}`))
    session.put('directories', keyOf(name), bytes(`directory ${name}`))
  }
  await session.commit()
}

async function sweepAll(collector: Collector): Promise<StoredKey[]> {
  return (await drain(collector.sweep([...collector.condemned()], collector.safeEpoch()))).flat()
}

it('condemns, shows it to who decides and not to who reads, and sweeps', async () => {
  const folder = temporaryFolder()
  await storeWith(folder, ['kept', 'garbage'])
  await using collecting = await EmbeddedStore.open(folder)
  using collector = collecting.collect()
  expect(await collector.condemn([content('garbage'), directory('garbage')])).toBe(1)
  // Before it was condemned it could be leaned on: the collector waits for who did.
  expect(collecting.keeps('content', keyOf('garbage'))).toBe(true)
  await using store = await EmbeddedStore.open(folder)
  expect(store.isCondemned('content', keyOf('garbage'))).toBe(true)
  expect(store.keeps('directories', keyOf('garbage'))).toBe(false)
  expect(store.keeps('directories', keyOf('kept'))).toBe(true)
  expect(await store.readContent(keyOf('garbage'))).toEqual(new Uint8Array(bytes('content of garbage')))
  expect(await sweepAll(collector)).toHaveLength(2)
  store.refresh()
  expect(store.hasContent(keyOf('garbage'))).toBe(false)
  expect(store.get('directories', keyOf('garbage'))).toBeUndefined()
  expect(store.hasContent(keyOf('kept'))).toBe(true)
  expect(collector.state).toMatchObject({ epoch: 1, condemned: [] })
})

it('a writer from before holds the sweep back; one from after, or a dead one, does not', async () => {
  const folder = temporaryFolder()
  await storeWith(folder, ['garbage'])
  await using collecting = await EmbeddedStore.open(folder)
  const before = await EmbeddedStore.open(folder)
  using collector = collecting.collect()
  await collector.condemn([content('garbage')])
  await using _after = await EmbeddedStore.open(folder)
  expect(collector.safeEpoch()).toBe(0)
  expect(await sweepAll(collector)).toEqual([])
  expect(await collector.settled(30)).toMatchObject([{ epoch: 0, pid: process.pid }])
  const settled = collector.settled(60_000)
  await before.close()
  expect(await settled).toEqual([])
  expect(collector.safeEpoch()).toBe(1)
  expect(await sweepAll(collector)).toHaveLength(1)
})

it('what is written again is lifted by its commit', async () => {
  const folder = temporaryFolder()
  await storeWith(folder, ['one', 'two'])
  await using collecting = await EmbeddedStore.open(folder)
  using collector = collecting.collect()
  await collector.condemn(['one', 'two'].flatMap((name) => [content(name), directory(name)]))
  await using writer = await EmbeddedStore.open(folder)
  await write(writer, ['one'])
  expect(writer.isCondemned('content', keyOf('one'))).toBe(false)
  expect(writer.isCondemned('directories', keyOf('one'))).toBe(false)
  expect(await sweepAll(collector)).toHaveLength(2)
  writer.refresh()
  expect(writer.keeps('content', keyOf('one'))).toBe(true)
  expect(writer.hasContent(keyOf('two'))).toBe(false)
})

it('an epoch that was not finished is no epoch: a collector that was killed has condemned nothing for good', async () => {
  const folder = temporaryFolder()
  await storeWith(folder, ['a', 'b'])
  await using collecting = await EmbeddedStore.open(folder)
  using collector = collecting.collect()
  const interrupted = function* (): Generator<StoredKey> {
    for (let i = 0; i < 2000; i++) yield content('a')
    throw new Error('killed')
  }
  await expect(collector.condemn(interrupted())).rejects.toThrow('killed')
  expect([...collector.condemned()]).toHaveLength(1)
  expect(collector.state.epoch).toBe(0)
  // Who opens the store now does not know of all of it.
  await using writer = await EmbeddedStore.open(folder)
  expect(await collector.condemn([content('b')])).toBe(1)
  expect(collector.safeEpoch()).toBe(0)
  await writer.close()
  expect(await sweepAll(collector)).toHaveLength(2)
})

it('one collects at a time, and not with an instance that has written', async () => {
  const folder = temporaryFolder()
  await using store = await EmbeddedStore.open(folder)
  await using other = await EmbeddedStore.open(folder)
  const collector = store.collect()
  expect(await failure(() => other.collect())).toBe('busy')
  collector.close()
  other.collect().close()
  other.write()
  expect(await failure(() => other.collect())).toBe('invalid-input')
  await using reader = await EmbeddedStore.open(folder, { readOnly: true })
  expect(await failure(() => reader.collect())).toBe('no-permission')
})

it('a rebuild keeps what was removed removed, what was written again, roots and uploads', async () => {
  const folder = join(temporaryFolder(), 'store')
  await storeWith(folder, ['gone', 'again', 'kept'])
  {
    await using collecting = await EmbeddedStore.open(folder)
    using collector = collecting.collect()
    await collector.condemn(['gone', 'again'].map(directory))
    await sweepAll(collector)
    await collector.condemn(['kept'].map(directory))
    await using writer = await EmbeddedStore.open(folder)
    await write(writer, ['again', 'kept'])
    const session = writer.write()
    session.put('roots', keyOf('root'), bytes('a root'))
    session.put('uploads', keyOf('upload'), bytes('an upload'))
    await session.commit()
    await sweepAll(collector)
  }
  await EmbeddedStore.rebuild(folder)
  await using store = await EmbeddedStore.open(folder)
  expect(store.has('directories', keyOf('gone'))).toBe(false)
  expect(store.has('directories', keyOf('again'))).toBe(true)
  expect(store.has('directories', keyOf('kept'))).toBe(true)
  expect(Buffer.from(store.get('roots', keyOf('root'))!).toString()).toBe('a root')
  expect(Buffer.from(store.get('uploads', keyOf('upload'))!).toString()).toBe('an upload')
})

it('compaction gives back the space of what is gone, while a reader reads on', async () => {
  const folder = join(temporaryFolder(), 'store')
  const segmentSize = 64 * 1024
  const contents = Array.from({ length: 60 }, () => noise(8 * 1024))
  const names = Array.from({ length: 100 }, (_, i) => `directory ${i}`)
  {
    await using store = await EmbeddedStore.open(folder, { segmentSize })
    for (let at = 0; at < 60; at += 4) await writeAll(store, contents.slice(at, at + 4))
    await write(store, names)
  }
  await using reader = await EmbeddedStore.open(folder, { readOnly: true })
  const walk = reader.contentReader()
  expect((await walk.read(keyOf(contents[5]!)))?.rawLength).toBe(8 * 1024)
  const files = segmentFiles(folder)
  const keeps = (i: number): boolean => i % 5 === 0
  await using collecting = await EmbeddedStore.open(folder, { segmentSize })
  using collector = collecting.collect()
  const garbage = contents
    .filter((_, i) => !keeps(i))
    .map((one) => ({ what: 'content', key: keyOf(one) }) as const)
  await collector.condemn(garbage)
  await sweepAll(collector)
  const compactions = await drain(collector.compact())
  const removed = compactions.filter((one) => one.removed > 0)
  expect(removed.length).toBeGreaterThan(5)
  expect(removed.reduce((sum, one) => sum + one.removed - one.copied, 0)).toBeGreaterThan(250_000)
  const left = segmentFiles(folder)
  for (const one of removed) expect(left).not.toContain(`${String(one.segment).padStart(10, '0')}.seg`)
  expect(left.length).toBeLessThan(files.length)
  reader.refresh()
  for (const [i, one] of contents.entries()) {
    const read = await walk.read(keyOf(one))
    if (keeps(i)) expect(Buffer.compare(read!.payload, one)).toBe(0)
    else expect(await reader.readContent(keyOf(one))).toBeUndefined()
  }
  // A second look finds nothing more to do, and numbers are not used again.
  expect((await drain(collector.compact())).filter((one) => one.removed > 0)).toEqual([])
  collector.close()
  await collecting.close()
  await storeWith(folder, ['later'], 1024)
  const numbers = segmentFiles(folder).map((name) => Number.parseInt(name, 10))
  expect(removed.some(({ segment }) => numbers.includes(segment))).toBe(false)
  await reader.close()
  const report = await EmbeddedStore.rebuild(folder)
  expect(report.skippedBytes).toBe(0)
  await using rebuilt = await EmbeddedStore.open(folder)
  for (const [i, one] of contents.entries()) {
    if (keeps(i)) expect(Buffer.compare((await rebuilt.readContent(keyOf(one)))!, one)).toBe(0)
  }
  for (const name of names) {
    expect(Buffer.from(rebuilt.get('directories', keyOf(name))!).toString()).toBe(`directory ${name}`)
  }
})

it('compaction leaves a segment alone that has damage, and one that somebody appends to', async () => {
  const folder = join(temporaryFolder(), 'store')
  await using writer = await EmbeddedStore.open(folder)
  const [kept, gone] = await writeAll(writer, [prose(5000), noise(50_000)])
  await using collecting = await EmbeddedStore.open(folder)
  using collector = collecting.collect()
  await collector.condemn([{ what: 'content', key: gone! }])
  expect(collector.safeEpoch()).toBe(0)
  expect(await drain(collector.compact({ share: 1 }))).toEqual([])
  await writer.close()
  await sweepAll(collector)
  const { segment, offset } = collecting.locate(kept!)!
  const { openSync, writeSync, closeSync } = await import('node:fs')
  const file = openSync(join(folder, 'segments', `${String(segment).padStart(10, '0')}.seg`), 'r+')
  writeSync(file, Uint8Array.of(0xff), 0, 1, offset + 60)
  closeSync(file)
  expect(await drain(collector.compact())).toMatchObject([{ segment, removed: 0, damaged: true }])
  expect(await failure(() => collecting.readContent(kept!))).toBe('damaged')
})

it('what was lifted others see as lifted once the lifting is said to be done, also while this process publishes', async () => {
  const folder = temporaryFolder()
  await using store = await EmbeddedStore.open(folder)
  await write(store, ['one', 'two'])
  {
    await using collecting = await EmbeddedStore.open(folder)
    using collector = collecting.collect()
    await collector.condemn(['one', 'two'].map(directory))
  }
  await using other = await EmbeddedStore.open(folder)
  const [one, two] = ['one', 'two'].map(directory)
  expect(other.isCondemned('directories', one!.key)).toBe(true)
  const writing = write(other, ['three', 'four'])
  expect(await other.lift([one!])).toBe(true)
  store.refresh()
  await using third = await EmbeddedStore.open(folder)
  expect(third.isCondemned('directories', one!.key)).toBe(false)
  expect(third.isCondemned('directories', two!.key)).toBe(true)
  await writing
})

it('nobody lifts while somebody marks and sweeps', async () => {
  const folder = temporaryFolder()
  await using store = await EmbeddedStore.open(folder)
  await using collecting = await EmbeddedStore.open(folder)
  using collector = collecting.collect()
  {
    using _ = await collector.alone()
    expect(await store.lift([])).toBe(false)
  }
  expect(await store.lift([])).toBe(true)
})

it('who stays open and renews its lease is waited for until all that began before has ended', async () => {
  const folder = temporaryFolder()
  await using store = await EmbeddedStore.open(folder)
  await write(store, ['garbage'])
  await using collecting = await EmbeddedStore.open(folder)
  using collector = collecting.collect()
  expect(await store.renewLease(() => Promise.reject(new Error('nothing was condemned')))).toBe(false)
  const epoch = await collector.condemn([directory('garbage')])
  store.refresh()
  expect(store.isCondemned('directories', directory('garbage').key)).toBe(false)

  await expect(store.renewLease(() => Promise.reject(new Error('stopped')))).rejects.toThrow('stopped')
  expect(collector.safeEpoch()).toBeLessThan(epoch)
  const renewing = store.renewLease(async () => {
    // From now on nobody leans on it, while those who did may still be at work.
    expect(store.isCondemned('directories', directory('garbage').key)).toBe(true)
    expect(collector.safeEpoch()).toBeLessThan(epoch)
  })
  expect(await renewing).toBe(true)
  expect(collector.safeEpoch()).toBe(epoch)
  expect(await drain(collector.sweep([directory('garbage')], epoch))).toMatchObject([
    [{ what: 'directories' }],
  ])
  expect(store.has('directories', directory('garbage').key)).toBe(false)
})
