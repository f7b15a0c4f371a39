import { join } from 'node:path'
import { B3Digest, Directory, type Node, PathComponent } from '@neve/castore-model'
import { CastoreMark } from '@neve/castore-services/gc'
import { EmbeddedStore } from '@neve/embedded-store'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SeededRandom } from '../src/contract/random.js'
import { temporaryFolder } from './embedded-fixture.js'

const DIRECTORIES = 3000

let engine: EmbeddedStore
const made: Directory[] = []

function blobOf(number: number): Node {
  return { kind: 'file', digest: B3Digest.of(Buffer.from(`${number}`)), size: 1n, executable: false }
}

/** Directories that each have some of the earlier ones, a chain a thousand deep among them; every tenth is not stored. */
beforeAll(async () => {
  engine = await EmbeddedStore.open(join(temporaryFolder(), 'store'))
  const random = new SeededRandom(7)
  const session = engine.write()
  for (let number = 0; number < DIRECTORIES; number++) {
    const below =
      number % 3 === 0 ? [number - 3] : [random.between(0, number + 1) - 1, random.between(0, number + 1) - 1]
    const nodes: Node[] = [blobOf(number)]
    for (const one of new Set(below)) if (one >= 0) nodes.push(made[one]!.toNode())
    const directory = Directory.fromEntries(
      nodes.map((node, index) => ({ name: PathComponent.from(`${index}`), node })),
    )
    made.push(directory)
    if (number % 10 !== 9) session.put('directories', directory.digest().bytes, directory.encode())
  }
  await session.commit()
})

afterAll(() => engine.close())

/** What is reachable, by the directories themselves. */
function reachable(roots: readonly Directory[]): {
  readonly directories: Set<string>
  readonly blobs: Set<string>
} {
  const stored = new Map(made.filter((_, number) => number % 10 !== 9).map((one) => [`${one.digest()}`, one]))
  const directories = new Set<string>()
  const blobs = new Set<string>()
  const open = roots.map((root) => `${root.digest()}`)
  for (let digest = open.pop(); digest !== undefined; digest = open.pop()) {
    if (directories.has(digest)) continue
    directories.add(digest)
    for (const { node } of stored.get(digest)?.entries ?? []) {
      if (node.kind === 'directory') open.push(`${node.digest}`)
      if (node.kind === 'file') blobs.add(`${node.digest}`)
    }
  }
  return { directories, blobs }
}

describe.each([false, true])('marking, measured: %s', (measures) => {
  it.each([[[2998]], [[1, 17, 400, 401, 402]], [made.keys()]])(
    'marks all that is below, and nothing else: %#',
    async (numbers) => {
      const roots = [...numbers].map((number) => made[number]!)
      const expected = reachable(roots)
      const [together, apart] = [new CastoreMark(engine, { measures }), new CastoreMark(engine, { measures })]
      for (const root of roots) {
        await together.nodeLater(root.toNode())
        await apart.node(root.toNode())
      }
      await together.run()
      for (const mark of [together, apart]) {
        expect(mark.directories.size).toBe(expected.directories.size)
        expect(mark.blobs.size).toBe(expected.blobs.size)
        for (const [number, one] of made.entries()) {
          const digest = one.digest()
          expect(mark.directories.has(digest.bytes)).toBe(expected.directories.has(`${digest}`))
          const { digest: blob } = blobOf(number) as Extract<Node, { kind: 'file' }>
          expect(mark.blobs.has(blob.bytes)).toBe(expected.blobs.has(`${blob}`))
        }
      }
      expect(together.bytes).toBe(apart.bytes)
    },
  )
})
