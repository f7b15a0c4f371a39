import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SecretKey, StorePath } from '@neve/nix-compat'
import {
  decodePathInfo,
  MemoryPathInfoService,
  pathInfoFingerprint,
  readKeyFile,
  SigningPathInfoService,
  StoreError,
} from '@neve/store-pathinfo'
import { describe, expect, it } from 'vitest'
import { BASE, PATH_INFO_SYMLINK } from './path-info-messages.js'
import { failureOf, hex, temporaryFolder } from './support.js'

// Published test key: it protects nothing.
const KEY =
  'do.not.use:sGPzxuK5WvWPraytx+6sjtaff866sYlfvErE6x0hFEhy5eqe7OVZ8ZMqZ/ME/HaRdKGNGvJkyGKXYTaeA6lR3A=='
const key = SecretKey.parse(KEY)

describe('signing', () => {
  it.each([
    [
      'PATH_INFO',
      BASE,
      'do.not.use:xl4q2L5wQMou13ZQ9/YPqK1z/DSIYycTtndVNfp2ybT8Cpg+yPv1sCQN8VVWppnq5BXTuMhjaq7K/ebYN4LYBg==',
    ],
    [
      'PATH_INFO_SYMLINK',
      decodePathInfo(hex(PATH_INFO_SYMLINK)),
      'do.not.use:d/6grhFc7RIZK2FR1svFF8d3u22l2R1kU72Qs5zsqIOptthdueICLAc6sP51RPVmpiJruySSG6GHdeUeCHXuDQ==',
    ],
  ])('07#45 %s is signed when it is put', async (_name, info, signature) => {
    const service = new SigningPathInfoService(new MemoryPathInfoService(), key)
    const stored = await service.put(info)
    expect(stored).toEqual({ ...info, signatures: stored.signatures })
    expect(stored.signatures.map(String)).toEqual([signature])
    expect(key.publicKey.verify(pathInfoFingerprint(info), stored.signatures[0]!)).toBe(true)
    expect(await service.get(info.storePath.digest)).toEqual(stored)
    expect(await service.has(info.storePath.digest)).toBe(true)
    for await (const listed of service.list()) expect(listed).toEqual(stored)
  })

  it('keeps other signatures, and does not sign again what it has signed', async () => {
    const other = SecretKey.generate('other').sign('whatever')
    const service = new SigningPathInfoService(new MemoryPathInfoService(), key)
    const once = await service.put({ ...BASE, signatures: [other] })
    expect(once.signatures.map(({ name }) => name)).toEqual(['other', 'do.not.use'])
    expect(await service.put(once)).toEqual(once)
    expect(await service.put(BASE)).toEqual({
      ...once,
      signatures: expect.arrayContaining([...once.signatures]),
    })
  })

  it('a signature of its name that is wrong does not count', async () => {
    const wrong = key.sign('something else')
    const service = new SigningPathInfoService(new MemoryPathInfoService(), key)
    expect((await service.put({ ...BASE, signatures: [wrong] })).signatures).toHaveLength(2)
  })

  it('references are signed in order, whatever order they stand in', () => {
    const references = ['zm35nga2g20mz5sm5l6n8v3bdm86yj83-b', '0m35nga2g20mz5sm5l6n8v3bdm86yj83-a']
    const info = { ...BASE, references: references.map((name) => StorePath.parse(name)) }
    const sorted = { ...info, references: info.references.toReversed() }
    expect(pathInfoFingerprint(info)).toBe(pathInfoFingerprint(sorted))
  })
})

describe('key files', () => {
  const written = (content: string | Uint8Array) => {
    const path = join(temporaryFolder(), 'key')
    writeFileSync(path, content)
    return path
  }

  it('are read, with blanks behind', async () => {
    for (const text of [KEY, `${KEY}\n`, `${KEY} \r\n`]) {
      expect((await readKeyFile(written(text))).publicKey.equals(key.publicKey)).toBe(true)
    }
  })

  it.each([
    ['empty', ''],
    ['cut', KEY.slice(0, -4)],
    ['without colon', KEY.replace(':', '')],
    ['long', `${KEY}${' '.repeat(5000)}`],
    ['a public key', String(key.publicKey)],
  ])('refused: %s', async (_name, text) => {
    const path = written(text)
    const error = await failureOf(() => readKeyFile(path))
    expect(error).toBeInstanceOf(StoreError)
    expect(error).toMatchObject({ code: 'invalid-key' })
    expect(error.message).toContain(path)
    expect(error.message).not.toContain('sGPzxuK5')
  })

  it('refused: no file', async () => {
    const error = await failureOf(() => readKeyFile(join(temporaryFolder(), 'none')))
    expect(error).toMatchObject({ code: 'invalid-key' })
  })
})
