import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { EmbeddedStore } from '@neve/embedded-store'
import { describe, expect, it } from 'vitest'
import { bytes, failure, keyOf, temporaryFolder } from './support.js'

const KEY = keyOf('entry').subarray(0, 20)
const text = (value: Uint8Array | undefined) => value && Buffer.from(value).toString()

describe('an entry that is replaced as it was known', () => {
  it('is set when it is the one that was expected, or when none is there as expected', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    const session = store.write()
    session.replace('pathInfos', KEY, undefined, bytes('one'))
    await session.commit()
    expect(text(store.get('pathInfos', KEY))).toBe('one')
    session.replace('pathInfos', KEY, bytes('one'), bytes('two'))
    await session.commit()
    expect(text(store.get('pathInfos', KEY))).toBe('two')
  })

  it.each([
    ['another one', 'other'],
    ['shorter', 'on'],
    ['longer', 'one more'],
    ['none', undefined],
  ])('stays when it is %s, and all else of the session is published', async (_, expected) => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    const first = store.write()
    first.put('pathInfos', KEY, bytes('one'))
    await first.commit()
    const session = store.write()
    session.appendContent(keyOf('content'), bytes('content'))
    session.put('files', bytes('before'), bytes('x'))
    session.replace('pathInfos', KEY, expected === undefined ? undefined : bytes(expected), bytes('two'))
    session.put('files', bytes('after'), bytes('x'))
    const innocent = store.write()
    innocent.put('files', bytes('innocent'), bytes('x'))
    const [refused] = await Promise.allSettled([session.commit(), innocent.commit()])
    expect(refused).toMatchObject({ status: 'rejected', reason: { code: 'conflict' } })
    expect(text(store.get('pathInfos', KEY))).toBe('one')
    expect(store.hasContent(keyOf('content'))).toBe(true)
    for (const key of ['before', 'after', 'innocent']) expect(store.has('files', bytes(key))).toBe(true)
    // The same session may try again.
    session.replace('pathInfos', KEY, bytes('one'), bytes('two'))
    await session.commit()
    expect(text(store.get('pathInfos', KEY))).toBe('two')
  })

  it('is removed only when it is the one that was expected', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    const session = store.write()
    session.put('pathInfos', KEY, bytes('one'))
    await session.commit()
    session.replace('pathInfos', KEY, bytes('other'), undefined)
    expect(await failure(() => session.commit())).toBe('conflict')
    expect(text(store.get('pathInfos', KEY))).toBe('one')
    session.replace('pathInfos', KEY, bytes('one'), undefined)
    await session.commit()
    expect(store.has('pathInfos', KEY)).toBe(false)
  })

  it('of two sessions of one commit the second is refused', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    const sessions = [store.write(), store.write()]
    for (const [i, session] of sessions.entries()) session.replace('pathInfos', KEY, undefined, bytes(`${i}`))
    const settled = await Promise.allSettled(sessions.map((session) => session.commit()))
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    expect(text(store.get('pathInfos', KEY))).toBe('0')
  })

  it('after a conflict a session without conditions commits', async () => {
    await using store = await EmbeddedStore.open(temporaryFolder())
    const session = store.write()
    session.replace('pathInfos', KEY, bytes('nothing'), bytes('x'))
    expect(await failure(() => session.commit())).toBe('conflict')
    await session.commit()
    expect(store.has('pathInfos', KEY)).toBe(false)
  })

  it('loses none of what two processes add to it at the same time', async () => {
    const folder = join(temporaryFolder(), 'store')
    const child = fileURLToPath(new URL('./replace-child.mjs', import.meta.url))
    const rounds = 100
    await Promise.all(
      ['a', 'b'].map(
        (name) =>
          new Promise<void>((resolve, reject) => {
            const process_ = spawn(process.execPath, [child, folder, name, String(rounds)], {
              stdio: ['ignore', 'inherit', 'inherit'],
            })
            process_.on('error', reject)
            process_.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`ended with ${code}`))))
          }),
      ),
    )
    await using store = await EmbeddedStore.open(folder)
    const words = text(store.get('pathInfos', KEY))!.trim().split(' ')
    const all = ['a', 'b'].flatMap((name) => Array.from({ length: rounds }, (_, i) => `${name}${i}`))
    expect(words.sort()).toEqual(all.sort())
  })
})
