import { B3Digest, Directory, DirectoryBuilder, type Node, PathComponent } from '@neve/castore-model'
import { DirectoryGraph, LeavesToRoot, RootToLeaves, type ValidatedGraph } from '@neve/castore-services'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  A,
  B,
  BROKEN_PARENT,
  C,
  COMPLICATED,
  D,
  digestsOf,
  directoryOf,
  randomClosure,
  WITH_KEEP,
} from '../src/contract/directory-fixtures.js'

const drained = (graph: ValidatedGraph) => digestsOf([...graph])

describe('fixtures of spec 03 section 13', () => {
  it.each([
    [A, 0n, 0, 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'],
    [B, 1n, 39, '8701f4722d8dae7f2c40fa003331b8437a3825f9e1bfd3a77998c64cc226b9cc'],
    [C, 2n, 79, '78eb200ae0cc95d4ea954655fbcf91e285013a261310e161927f2401d2bca803'],
    [D, 3n, 80, '99922a5c1801805287a647af73bca0ed7352a5f7f373e54992795bcc4a235213'],
    [WITH_KEEP, 1n, 43, '8b5b5d642b646bb8ed504b0862c39413e87e57491497de7bd075953f7b83810e'],
    [COMPLICATED, 4n, 119, '3f951a15afd586fb3121ef4d13d582e811ce0e5a7f21c0497fd87490e9e2355a'],
    [BROKEN_PARENT, 43n, 43, 'd47aaf4b9d72c5dd171756901a9829aeceff01be2175c2d9744239c72a5a572e'],
  ])('03#47 03#49 have the size, the length and the digest given: %#', (directory, size, length, hex) => {
    expect(directory.size()).toBe(size)
    expect(directory.encode()).toHaveLength(length)
    expect(directory.digest().toHex()).toBe(hex)
  })
})

describe('sizes of spec 03 section 14', () => {
  const child = (size: bigint): Node => ({ kind: 'directory', digest: B3Digest.EMPTY, size })
  const MAX = 2n ** 64n - 1n

  it.each<[string, Readonly<Record<string, Node>>, bigint]>([
    ['nothing', {}, 0n],
    ['a directory of size 0', { a: child(0n) }, 1n],
    ['a directory of size 4', { a: child(4n) }, 5n],
    ['a file of 42 bytes', { a: { kind: 'file', digest: B3Digest.EMPTY, size: 42n, executable: false } }, 1n],
    ['03#48 a directory of size 2^64-2', { a: child(MAX - 1n) }, MAX],
  ])('03#47 counts %s', (_name, entries, size) => {
    expect(directoryOf(entries).size()).toBe(size)
  })

  it.each([
    ['03#50 a directory of size 2^64-1', { a: child(MAX) }],
    ['03#48 two directories of half of it', { a: child(MAX / 2n), b: child(MAX / 2n) }],
  ])('refuses %s', (_name, entries) => {
    const overflow = expect.objectContaining({ code: 'DIRECTORY_SIZE_OVERFLOW' })
    expect(() => directoryOf(entries)).toThrow(overflow)
    const builder = new DirectoryBuilder()
    expect(() => {
      for (const [name, node] of Object.entries(entries)) builder.add(PathComponent.from(name), node)
    }).toThrow(overflow)
  })

  it('03#49 gives the empty directory the digest of nothing', () => {
    expect(Directory.EMPTY.digest().toHex()).toBe(
      'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262',
    )
  })
})

describe('LeavesToRoot', () => {
  it.each([
    ['03#22 [A]', [A]],
    ['03#22 [A, B]', [A, B]],
    ['03#22 [A, A, C]', [A, A, C]],
    ['03#22 [A, C]', [A, C]],
    ['03#22 [A, C, B]', [A, C, B]],
  ])('%s is taken', (_name, directories) => {
    const order = new LeavesToRoot()
    expect(directories.map((directory) => order.add(directory))).not.toContain(false)
  })

  it('03#22 [B] is refused, and changes nothing', () => {
    const order = new LeavesToRoot()
    expect(order.add(B)).toBe(false)
    expect(order.missing(B)?.equals(A.digest())).toBe(true)
    expect(order.add(directoryOf({ b: B.toNode() }))).toBe(false)
    expect(order.add(A)).toBe(true)
    expect(order.add(B)).toBe(true)
  })
})

describe('RootToLeaves', () => {
  it.each([
    ['03#23 A: [A]', A, [A], [true]],
    ['03#23 B: [B, A]', B, [B, A], [true, true]],
    ['03#23 C: [C, A]', C, [C, A], [true, true]],
    ['03#23 C: [C, B]', C, [C, B], [true, false]],
    ['03#23 B: [A]', B, [A], [false]],
    ['repeats are taken', B, [B, B, A, A, B], [true, true, true, true, true]],
  ])('%s', (_name, root, directories, expected) => {
    const order = new RootToLeaves(root.digest())
    const answers = directories.map((directory) => {
      const allowed = order.digestAllowed(directory.digest())
      expect(order.add(directory)).toBe(allowed)
      return allowed
    })
    expect(answers).toEqual(expected)
  })

  it('takes any root when none is given', () => {
    const order = new RootToLeaves()
    expect(order.add(COMPLICATED)).toBe(true)
    expect(order.add(A)).toBe(false)
    expect(order.add(WITH_KEEP)).toBe(true)
  })
})

describe('DirectoryGraph, leaves to root', () => {
  const graphOf = (directories: readonly Directory[]) => {
    const graph = DirectoryGraph.leavesToRoot()
    for (const directory of directories) graph.add(directory)
    return graph
  }

  it.each([
    ['03#9 [A]', [A], [A]],
    ['03#10 [A, B]', [A, B], [A, B]],
    ['03#11 [A, A, C]', [A, A, C], [A, C]],
    ['03#12 [A, C]', [A, C], [A, C]],
    ['[]', [], []],
  ])('%s drains in order', (_name, directories, expected) => {
    const validated = graphOf(directories).validate()
    expect(drained(validated)).toEqual(digestsOf(expected))
    expect(digestsOf([...validated.rootToLeaves()])).toEqual(digestsOf(expected.toReversed()))
    expect(validated.root).toBe(expected.at(-1))
    expect(validated.size).toBe(expected.length)
  })

  it('03#13 [A, C, B] has two roots', () => {
    expect(() => graphOf([A, C, B]).validate()).toThrow(expect.objectContaining({ code: 'disconnected' }))
  })

  it('03#14 [B] references what did not come; the graph goes on', () => {
    const graph = DirectoryGraph.leavesToRoot()
    expect(() => graph.add(B)).toThrow(
      expect.objectContaining({ code: 'order', directory: B.digest(), reference: A.digest() }),
    )
    graph.add(A)
    graph.add(B)
    expect(drained(graph.validate())).toEqual(digestsOf([A, B]))
  })

  it('03#15 [A, BROKEN_PARENT] has a wrong size', () => {
    expect(() => graphOf([A, BROKEN_PARENT])).toThrow(
      expect.objectContaining({ code: 'size', entry: 'foo', specified: 42n, recorded: 0n }),
    )
  })

  it('drains in order of names, depth first and breadth first', () => {
    const leaf = (name: string) => directoryOf({ [name]: A.toNode() })
    const [x, y, z] = [leaf('x'), leaf('y'), leaf('z')]
    const left = directoryOf({ y: y.toNode(), z: z.toNode() })
    const root = directoryOf({ left: left.toNode(), right: x.toNode() })
    const validated = graphOf([A, z, y, x, left, root]).validate()
    expect(drained(validated)).toEqual(digestsOf([A, y, z, left, x, root]))
    expect(digestsOf([...validated.rootToLeaves()])).toEqual(digestsOf([root, left, x, y, z, A]))
  })

  it('does not overflow on a closure of a hundred thousand levels', () => {
    const closure = [A]
    while (closure.length < 100_000) closure.push(directoryOf({ d: closure.at(-1)!.toNode() }))
    const validated = graphOf(closure).validate()
    expect(drained(validated)).toEqual(digestsOf(closure))
    expect([...validated.rootToLeaves()]).toHaveLength(100_000)
  })
})

describe('DirectoryGraph, root to leaves', () => {
  const graphOf = (root: Directory, directories: readonly Directory[]) => {
    const graph = DirectoryGraph.rootToLeaves(root.digest())
    for (const directory of directories) graph.add(directory)
    return graph
  }

  it.each([
    ['03#16 A: [A]', A, [A], [A]],
    ['03#17 B: [B, A]', B, [B, A], [A, B]],
    ['03#18 C: [C, A]', C, [C, A], [A, C]],
    ['repeats', C, [C, C, A, A], [A, C]],
  ])('%s drains in order', (_name, root, directories, expected) => {
    expect(drained(graphOf(root, directories).validate())).toEqual(digestsOf(expected))
  })

  it.each([
    ['03#19 C: [C, B]', C, [C], B, 'order'],
    ['03#20 B: [A]', B, [], A, 'order'],
    ['03#21 BROKEN_PARENT: [BROKEN_PARENT, A]', BROKEN_PARENT, [BROKEN_PARENT], A, 'size'],
  ])('%s fails at the last one', (_name, root, before, last, code) => {
    const graph = graphOf(root, before)
    expect(() => graph.add(last)).toThrow(expect.objectContaining({ code }))
  })

  it('misses a directory that never came', () => {
    expect(() => graphOf(D, [D, A]).validate()).toThrow(expect.objectContaining({ code: 'incomplete' }))
    expect(() => graphOf(D, [D]).validate()).toThrow(expect.objectContaining({ code: 'incomplete' }))
  })

  it('takes back what it gave, in either order', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.integer(), (size, seed) => {
        const closure = randomClosure(size, seed)
        const upwards = DirectoryGraph.leavesToRoot()
        for (const directory of closure) upwards.add(directory)
        const first = upwards.validate()
        const downwards = graphOf(closure.at(-1)!, [...first.rootToLeaves()])
        const second = downwards.validate()
        expect(drained(second)).toEqual(drained(first))
        expect(digestsOf([...second.rootToLeaves()])).toEqual(digestsOf([...first.rootToLeaves()]))
        const again = DirectoryGraph.leavesToRoot()
        for (const directory of second) again.add(directory)
        expect(again.validate().root?.equals(closure.at(-1)!)).toBe(true)
      }),
      { numRuns: 50 },
    )
  })
})
