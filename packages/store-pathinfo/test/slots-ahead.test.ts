import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLocalStore } from '@neve/store-pathinfo'
import { expect, it, onTestFinished } from 'vitest'

it('renderings that nobody reads on keep no other one waiting, and let go of all when they are left', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'neve-slots-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const content = randomBytes(8_000_000)
  writeFileSync(join(folder, 'file'), content)
  await using store = await openLocalStore(join(folder, 'store'))
  const { node } = await store.importPath(join(folder, 'file'))
  const stalled = Array.from({ length: 40 }, () => store.nar(node)[Symbol.asyncIterator]())
  await Promise.all(stalled.map((rendering) => rendering.next()))
  const render = async () => {
    const pieces: Buffer[] = []
    for await (const piece of store.nar(node)) pieces.push(Buffer.from(piece))
    return Buffer.concat(pieces)
  }
  const archives = await Promise.all([render(), render()])
  for (const archive of archives) expect(archive.includes(content)).toBe(true)
  await Promise.all(stalled.map((rendering) => rendering.return?.()))
  expect((await render()).equals(archives[0]!)).toBe(true)
})
