import { EmbeddedStore } from '@neve/embedded-store'
import { describe, expect, it } from 'vitest'
import { bytes, failure, keyOf, noise, segmentFiles, temporaryFolder, writeAll } from './support.js'

describe('sessions', () => {
  it('commit independently, a hundred at once', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    const contents = Array.from({ length: 100 }, () => noise(500))
    await Promise.all(contents.map((content) => writeAll(store, [content])))
    for (const content of contents) {
      expect(Buffer.compare((await store.readContent(keyOf(content)))!, content)).toBe(0)
    }
  })

  it('show everything of theirs, in the order written, once commit has resolved', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    const session = store.write()
    for (let i = 0; i < 50; i++) {
      session.put('files', bytes('counter'), bytes(String(i)))
      session.appendContent(keyOf(`${i}`), bytes(`${i}`))
      const committed = session.commit()
      if (i % 2 === 0) await committed
      else void committed
    }
    await session.commit()
    const last = store.write()
    last.put('files', bytes('end'), bytes('end'))
    await last.commit()
    expect(Buffer.from(store.get('files', bytes('counter'))!).toString()).toBe('49')
    expect(store.count('content')).toBe(50)
  })

  it('an empty commit resolves, and makes no segment', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    await store.write().commit()
    expect(segmentFiles(store.path)).toEqual([])
  })

  it('joinPending finds content that waits for its commit, and waits for it too', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    const key = keyOf('shared')
    const first = store.write()
    const second = store.write()
    expect(second.joinPending(key)).toBe(false)
    first.appendContent(key, bytes('shared'))
    expect(second.joinPending(key)).toBe(true)
    await second.commit()
    expect(store.hasContent(key)).toBe(true)
    expect(second.joinPending(key)).toBe(false)
    first.appendContent(keyOf('next'), bytes('next'))
    const committing = first.commit()
    const third = store.write()
    expect(third.joinPending(keyOf('next'))).toBe(true)
    await third.commit()
    expect(store.hasContent(keyOf('next'))).toBe(true)
    await committing
  })

  it('room lets large appends go on only as fast as the disk', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    const session = store.write()
    const content = noise(1024 * 1024)
    for (let i = 0; i < 200; i++) {
      content[0] = i
      session.appendContent(keyOf(`${i}`), content)
      await session.room()
    }
    await session.commit()
    expect(store.count('content')).toBe(200)
    expect((await store.readContent(keyOf('199')))![0]).toBe(199)
  })

  it('publish by themselves when much has gathered', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    const session = store.write()
    for (let i = 0; i < 60_000; i++) session.put('files', bytes(`file ${i}`), bytes('seen'))
    await store.write().commit()
    const other = store.write()
    other.put('nars', bytes('n'), bytes('n'))
    await other.commit()
    expect(store.count('files')).toBe(60_000)
    await session.commit()
  })
})

describe('segments', () => {
  it('roll over at their size, also within one commit', async () => {
    const folder = temporaryFolder()
    const contents = Array.from({ length: 40 }, () => noise(1000))
    {
      await using store = await EmbeddedStore.open(folder, { segmentSize: 4000 })
      const keys = await writeAll(store, contents)
      const used = new Set(keys.map((key) => store.locate(key)!.segment))
      expect(used.size).toBeGreaterThanOrEqual(1)
      for (const content of contents) await writeAll(store, [Buffer.concat([content, bytes('!')])])
      expect(segmentFiles(folder).length).toBeGreaterThanOrEqual(10)
    }
    await using store = await EmbeddedStore.open(folder, { readOnly: true })
    for (const content of contents) {
      expect(Buffer.compare((await store.readContent(keyOf(content)))!, content)).toBe(0)
    }
  })

  it('that are not full are appended to after reopening', async () => {
    const folder = temporaryFolder()
    for (let i = 0; i < 5; i++) {
      await using store = await EmbeddedStore.open(folder)
      await writeAll(store, [bytes(`content ${i}`)])
    }
    expect(segmentFiles(folder)).toEqual(['0000000001.seg'])
    await using store = await EmbeddedStore.open(folder)
    for (let i = 0; i < 5; i++) {
      const content = await store.readContent(keyOf(`content ${i}`))
      expect(Buffer.from(content!).toString()).toBe(`content ${i}`)
    }
  })

  it('are not shared by two stores over one folder', async () => {
    const folder = temporaryFolder()
    await using one = await EmbeddedStore.open(folder)
    await using two = await EmbeddedStore.open(folder)
    const [a] = await writeAll(one, [bytes('one')])
    const [b] = await writeAll(two, [bytes('two')])
    expect(one.locate(a!)!.segment).not.toBe(two.locate(b!)!.segment)
    one.refresh()
    expect(Buffer.from((await one.readContent(b!))!).toString()).toBe('two')
  })

  it('leave nothing behind when nothing was committed', async () => {
    const folder = temporaryFolder()
    const store = await EmbeddedStore.open(folder)
    store.write().appendContent(keyOf('dropped'), noise(100_000))
    await store.close()
    expect(segmentFiles(folder)).toEqual([])
  })
})

describe('close', () => {
  it('waits for the commits that were asked for', async () => {
    const folder = temporaryFolder()
    const store = await EmbeddedStore.open(folder)
    const sessions = Array.from({ length: 10 }, () => store.write())
    const commits = sessions.map((session, i) => {
      session.appendContent(keyOf(`${i}`), bytes(`${i}`))
      return session.commit()
    })
    await store.close()
    await Promise.all(commits)
    await using again = await EmbeddedStore.open(folder)
    expect(again.count('content')).toBe(10)
  })

  it('loses what nobody asked to commit, and says so', async () => {
    const folder = temporaryFolder()
    const store = await EmbeddedStore.open(folder)
    const session = store.write()
    session.appendContent(keyOf('late'), bytes('late'))
    await Promise.all([store.close(), store.close()])
    expect(await failure(() => session.commit())).toBe('closed')
    expect(await failure(() => session.appendContent(keyOf('x'), bytes('x')))).toBe('closed')
  })

  it('makes every later call fail with closed', async () => {
    const store = await EmbeddedStore.open(temporaryFolder())
    const [key] = await writeAll(store, [bytes('content')])
    const reader = store.contentReader()
    const session = store.write()
    const entries = store.entries('files')
    await store.close()
    const calls: (() => unknown)[] = [
      () => store.locate(key!),
      () => store.hasContent(key!),
      () => store.readContent(key!),
      () => store.contentReader(),
      () => store.get('files', key!),
      () => store.has('files', key!),
      () => [...store.entries('files')],
      () => [...entries],
      () => store.count('content'),
      () => [...store.contentKeys()],
      () => store.write(),
      () => reader.read(key!),
      () => reader.readSync(key!),
      () => reader.peek(key!),
      () => session.appendContent(key!, bytes('x')),
      () => session.appendPacked(new Uint8Array(0), []),
      () => session.put('files', key!, bytes('x')),
      () => session.remove('files', key!),
    ]
    for (const call of calls) expect(await failure(call), String(call)).toBe('closed')
    store.refresh()
  })

  it('ends walks that stand still half way, with closed', async () => {
    const store = await EmbeddedStore.open(temporaryFolder())
    await writeAll(
      store,
      Array.from({ length: 20 }, (_, i) => bytes(`${i}`)),
    )
    const keys = store.contentKeys()[Symbol.iterator]()
    keys.next()
    await store.close()
    expect(await failure(() => keys.next())).toBe('closed')
  })

  it('lets reads that are under way finish', async () => {
    const store = await EmbeddedStore.open(temporaryFolder())
    const contents = Array.from({ length: 20 }, () => noise(200_000))
    const keys = await writeAll(store, contents)
    const reads = keys.map((key) => store.readContent(key))
    await store.close()
    for (const [i, content] of (await Promise.all(reads)).entries()) {
      expect(Buffer.compare(content!, contents[i]!)).toBe(0)
    }
  })
})
