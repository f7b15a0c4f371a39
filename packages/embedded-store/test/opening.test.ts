import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { EmbeddedStore, EmbeddedStoreError, FORMAT_VERSION } from '@neve/embedded-store'
import { describe, expect, it } from 'vitest'
import { bytes, failure, keyOf, segmentFiles, temporaryFolder, writeAll } from './support.js'

function withCheck(text: string): string {
  return `${text}check ${crc32(text).toString(16).padStart(8, '0')}\n`
}

describe('open', () => {
  it('makes a store in an absent folder, with its parents', async () => {
    const folder = join(temporaryFolder(), 'a/b/c')
    await using store = await EmbeddedStore.open(folder)
    expect(store.path).toBe(folder)
    expect(readFileSync(join(folder, 'FORMAT'), 'latin1')).toMatch(
      /^neve embedded store\nversion 1\nsalt [0-9a-f]{8}\ncheck [0-9a-f]{8}\n$/,
    )
  })

  it('makes none when it may not', async () => {
    const folder = join(temporaryFolder(), 'none')
    expect(await failure(() => EmbeddedStore.open(folder, { create: false }))).toBe('not-a-store')
    expect(await failure(() => EmbeddedStore.open(folder, { readOnly: true }))).toBe('not-a-store')
    expect(await failure(() => EmbeddedStore.rebuild(folder))).toBe('not-a-store')
    expect(existsSync(folder)).toBe(false)
  })

  it('gives two creators at once the same store', async () => {
    for (let round = 0; round < 10; round++) {
      const folder = join(temporaryFolder(), 'store')
      const stores = await Promise.all(Array.from({ length: 4 }, () => EmbeddedStore.open(folder)))
      expect(new Set(stores.map((store) => store.salt)).size).toBe(1)
      await Promise.all(stores.map((store, i) => writeAll(store, [bytes(`from ${i}`)])))
      for (const store of stores) {
        store.refresh()
        expect(store.count('content')).toBe(4)
        await store.close()
      }
    }
  })

  it('reads only, when told so, before and after a writer in the same process', async () => {
    const folder = temporaryFolder()
    await using first = await EmbeddedStore.open(folder)
    await first.close()
    await using reader = await EmbeddedStore.open(folder, { readOnly: true })
    await using writer = await EmbeddedStore.open(folder)
    const [key] = await writeAll(writer, [bytes('content')])
    reader.refresh()
    expect(reader.hasContent(key!)).toBe(true)
    expect(await failure(() => reader.write())).toBe('no-permission')
    await using second = await EmbeddedStore.open(folder, { readOnly: true })
    expect(Buffer.from((await second.readContent(key!))!).toString()).toBe('content')
  })

  it('reads only where there are no tables yet: refused', async () => {
    const folder = temporaryFolder()
    await (await EmbeddedStore.open(folder)).close()
    rmSync(join(folder, 'tables'), { recursive: true })
    expect(await failure(() => EmbeddedStore.open(folder, { readOnly: true }))).toBe('not-a-store')
  })
})

describe('refused folders', () => {
  it('a file, a file for a parent, and a folder with other things in it', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'file'), 'something')
    expect(await failure(() => EmbeddedStore.open(join(folder, 'file')))).toBe('not-a-store')
    expect(await failure(() => EmbeddedStore.open(join(folder, 'file/below')))).toBe('not-a-store')
    expect(await failure(() => EmbeddedStore.open(folder))).toBe('not-a-store')
    expect(existsSync(join(folder, 'FORMAT'))).toBe(false)
  })

  it('segments without a FORMAT file', async () => {
    const folder = temporaryFolder()
    await using store = await EmbeddedStore.open(folder)
    await writeAll(store, [bytes('content')])
    await store.close()
    rmSync(join(folder, 'FORMAT'))
    expect(await failure(() => EmbeddedStore.open(folder))).toBe('not-a-store')
    expect(segmentFiles(folder)).toHaveLength(1)
  })

  it('a newer version, by both numbers', async () => {
    const folder = temporaryFolder()
    await (await EmbeddedStore.open(folder)).close()
    const newer = FORMAT_VERSION + 1
    for (const text of [
      withCheck(`neve embedded store\nversion ${newer}\nsalt 01020304\nwhatever comes\n`),
      `neve embedded store\nversion ${newer}\n`,
    ]) {
      writeFileSync(join(folder, 'FORMAT'), text)
      const opened = EmbeddedStore.open(folder)
      await expect(opened).rejects.toThrow(EmbeddedStoreError)
      await expect(opened).rejects.toThrow(
        `format version ${newer}, this program reads up to ${FORMAT_VERSION}: update Neve`,
      )
      expect(await failure(() => opened)).toBe('newer-version')
      expect(await failure(() => EmbeddedStore.rebuild(folder))).toBe('newer-version')
    }
  })

  it('a FORMAT file with any byte flipped or cut off: never opened with another salt', async () => {
    const folder = temporaryFolder()
    await (await EmbeddedStore.open(folder)).close()
    const path = join(folder, 'FORMAT')
    const sound = readFileSync(path)
    for (let at = 0; at < sound.length; at++) {
      const flipped = Buffer.from(sound)
      flipped[at]! ^= 1 << (at % 8)
      for (const text of [flipped, sound.subarray(0, at)]) {
        writeFileSync(path, text)
        expect(await failure(() => EmbeddedStore.open(folder))).toMatch(/^(damaged|not-a-store)$/)
      }
    }
    writeFileSync(path, withCheck('neve embedded store\nversion 0\nsalt 01020304\n'))
    expect(await failure(() => EmbeddedStore.open(folder))).toBe('damaged')
    writeFileSync(path, sound)
    await (await EmbeddedStore.open(folder)).close()
  })

  it('tables that are not LMDB: damaged, and made anew by rebuild', async () => {
    const folder = temporaryFolder()
    await using store = await EmbeddedStore.open(folder)
    await writeAll(store, [bytes('content')])
    await store.close()
    writeFileSync(join(folder, 'tables/data.mdb'), Buffer.alloc(8192, 7))
    expect(await failure(() => EmbeddedStore.open(folder))).toBe('damaged')
    expect((await EmbeddedStore.rebuild(folder)).records).toBe(1)
    await using again = await EmbeddedStore.open(folder)
    expect(again.hasContent(keyOf('content'))).toBe(true)
  })

  it('lost+found does not count', async () => {
    const folder = temporaryFolder()
    mkdirSync(join(folder, 'lost+found'))
    await (await EmbeddedStore.open(folder)).close()
  })
})
