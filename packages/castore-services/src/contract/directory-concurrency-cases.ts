import { B3Digest } from '@neve/castore-model'
import { expect, it } from 'vitest'
import type { DirectoryService } from '../directory-service.js'
import { closureOf, digestsOf, distinctDirectory, randomClosure, upload } from './directory-fixtures.js'

const HUNDRED = Array.from({ length: 100 }, (_, index) => index)

async function all<T>(work: (index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(HUNDRED.map(work))
}

/** Every call, a hundred times at once. */
export function directoryConcurrencyCases(service: () => DirectoryService): void {
  it('puts different directories, and gets them', async () => {
    const directories = HUNDRED.map((index) => distinctDirectory(index))
    const digests = await all((index) => service().put(directories[index]!))
    expect(digests.map(String)).toEqual(digestsOf(directories))
    const found = await all((index) => service().get(directories[index]!.digest()))
    expect(found.map((directory) => directory?.digest().toString())).toEqual(digestsOf(directories))
  })

  it('puts and gets the same directory', async () => {
    const directory = distinctDirectory(1)
    const digests = await all(() => service().put(directory))
    expect(digests.every((digest) => digest.equals(directory.digest()))).toBe(true)
    const found = await all(() => service().get(directory.digest()))
    expect(found.every((one) => one?.equals(directory))).toBe(true)
  })

  it('gets absent directories', async () => {
    const found = await all((index) => service().get(B3Digest.from(new Uint8Array(32).fill(index))))
    expect(found.every((directory) => directory === undefined)).toBe(true)
  })

  it('uploads different closures, and gives each of them', async () => {
    const closures = HUNDRED.map((index) => randomClosure(1 + (index % 10), 1000 + index))
    const roots = await all((index) => upload(service(), ...closures[index]!))
    const found = await all((index) => closureOf(service(), roots[index]!))
    expect(found.map((closure) => digestsOf(closure).sort())).toEqual(
      closures.map((closure) => digestsOf(closure).sort()),
    )
  })

  it('uploads and gives the same closure', async () => {
    const closure = randomClosure(20, 1)
    const roots = await all(() => upload(service(), ...closure))
    expect(roots.every((root) => root.equals(closure.at(-1)!.digest()))).toBe(true)
    const found = await all((index) => closureOf(service(), roots[index]!))
    expect(found.every((one) => one.length === closure.length)).toBe(true)
  })

  it('cancels some calls and finishes others', async () => {
    const closure = randomClosure(20, 2)
    const root = await upload(service(), ...closure)
    const reason = new Error('not wanted any more')
    const outcomes = await all(async (index) => {
      const controller = new AbortController()
      const { signal } = controller
      const calls = [
        () => service().get(root, { signal }),
        () => service().put(distinctDirectory(index), { signal }),
        async () => {
          for await (const _directory of service().getRecursive(root, { signal }));
        },
        async () => {
          const putter = service().putMultipleStart({ signal })
          await putter.put(distinctDirectory(index))
          await putter.close()
        },
      ]
      const running = calls[index % 4]!()
      if (index % 8 < 4) controller.abort(reason)
      return running.then(
        () => 'done',
        (error: unknown) => error,
      )
    })
    for (const [index, outcome] of outcomes.entries()) {
      expect([index % 8 < 4 ? reason : 'done', 'done']).toContain(outcome)
    }
    expect(await closureOf(service(), root)).toHaveLength(20)
  })

  it('aborts some uploads and finishes others', async () => {
    await all(async (index) => {
      const putter = service().putMultipleStart()
      await putter.put(distinctDirectory(index))
      if (index % 2) await putter.close()
      else await putter.abort()
    })
    const found = await all((index) => service().get(distinctDirectory(index).digest()))
    expect(found.map((directory) => directory !== undefined)).toEqual(HUNDRED.map((index) => index % 2 === 1))
  })
}
