import { status } from '@grpc/grpc-js'
import type { B3Digest } from '@neve/castore-model'
import { emulatorTarget, openBigtableDirectoryService } from '@neve/castore-services/directory/bigtable'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  A,
  B,
  COMPLICATED,
  closureOf,
  D,
  directoryOf,
  upload,
  WITH_KEEP,
} from '../src/contract/directory-fixtures.js'
import {
  type CheckRequest,
  type Chunk,
  CONFIG,
  cell,
  type MutateRequest,
  type ReadRequest,
  ScriptedServer,
} from './bigtable-scripted-server.js'

let server: ScriptedServer
let service: Awaited<ReturnType<typeof openBigtableDirectoryService>>

beforeEach(async () => {
  server = new ScriptedServer()
  await server.start()
  service = await openBigtableDirectoryService(CONFIG, { target: emulatorTarget(server.address) })
})
afterEach(async () => {
  await service.close()
  server.stop()
})

const key = (digest: B3Digest) => digest.toHex()
const KEEP = key(WITH_KEEP.digest())
const OTHER = key(A.digest())

describe('what Bigtable is asked', () => {
  it('reads one row of the named column only', async () => {
    let request: ReadRequest | undefined
    server.read = (asked, call) => {
      request = asked
      call.end()
    }
    expect(await service.get(WITH_KEEP.digest())).toBeUndefined()
    expect(request).toMatchObject({
      table_name: 'projects/project-1/instances/instance-1/tables/table-1',
      app_profile_id: 'default',
      rows_limit: 1,
    })
    expect(request!.rows.row_keys.map(String)).toEqual([KEEP])
    const [family, qualifier] = request!.filter.chain.filters
    expect(family).toMatchObject({ family_name_regex_filter: 'cf\\.1' })
    expect(String(qualifier!['column_qualifier_regex_filter'])).toBe(KEEP)
    const routing =
      'table_name=projects%2Fproject-1%2Finstances%2Finstance-1%2Ftables%2Ftable-1&app_profile_id=default'
    expect(server.metadata[0]).toMatchObject({ 'x-goog-request-params': routing })
  })

  it('puts one directory with one conditional write that names family and qualifier (03 weakness 5)', async () => {
    let request: CheckRequest | undefined
    server.check = (asked, reply) => {
      request = asked
      reply(null, { predicate_matched: false })
    }
    await service.put(WITH_KEEP)
    expect(server.calls).toEqual({ ReadRows: 0, MutateRows: 0, CheckAndMutateRow: 1 })
    expect(String(request!.row_key)).toBe(KEEP)
    expect(request!.true_mutations).toEqual([])
    expect(request).toMatchObject({
      predicate_filter: { chain: { filters: [{ family_name_regex_filter: 'cf\\.1' }, {}] } },
      false_mutations: [{ set_cell: { family_name: 'cf.1', timestamp_micros: -1 } }],
    })
    const [mutation] = request!.false_mutations
    expect(String(mutation!.set_cell!['column_qualifier'])).toBe(KEEP)
    expect(Buffer.from(mutation!.set_cell!['value'] as Uint8Array).equals(WITH_KEEP.encode())).toBe(true)
  })

  it('writes nothing more for a sound directory that is there, and replaces a damaged one', async () => {
    server.check = (_request, reply) => reply(null, { predicate_matched: true })
    server.answer([cell(KEEP, WITH_KEEP.encode())])
    await service.put(WITH_KEEP)
    expect(server.calls).toEqual({ ReadRows: 1, MutateRows: 0, CheckAndMutateRow: 1 })
    const written: MutateRequest[] = []
    const answer = server.mutate
    server.mutate = (request, call) => {
      written.push(request)
      answer(request, call)
    }
    server.answer([cell(KEEP, Uint8Array.of(1))])
    await service.put(WITH_KEEP)
    const { row_key, mutations } = written[0]!.entries[0]!
    expect(String(row_key)).toBe(KEEP)
    expect(mutations[0]!.delete_from_column).toMatchObject({ family_name: 'cf.1' })
    expect(mutations[1]!.set_cell).toMatchObject({ family_name: 'cf.1', timestamp_micros: -1 })
  })

  it('uploads a closure in batches, a level at a time, and only what is missing', async () => {
    const leaves = Array.from({ length: 600 }, (_, index) =>
      directoryOf({ [`leaf ${index}`]: WITH_KEEP.toNode() }),
    )
    const root = directoryOf(Object.fromEntries(leaves.map((leaf, index) => [`${index}`, leaf.toNode()])))
    const batches: string[][] = []
    const answer = server.mutate
    server.mutate = (request, call) => {
      batches.push(request.entries.map((entry) => String(entry.row_key)))
      answer(request, call)
    }
    server.serve([WITH_KEEP, ...leaves.slice(0, 50)])
    await upload(service, WITH_KEEP, ...leaves, root)
    expect(batches.map(({ length }) => length).toSorted()).toEqual([1, 256, 256, 38].toSorted())
    expect(batches.at(-1)).toEqual([key(root.digest())])
    expect(new Set(batches.flat()).size).toBe(551)
    expect(server.calls.ReadRows).toBe(Math.ceil(602 / 64))
    // And reads it so.
    server.serve([WITH_KEEP, ...leaves, root])
    server.calls.ReadRows = 0
    expect(await closureOf(service, root.digest())).toHaveLength(602)
    expect(server.calls.ReadRows).toBeLessThanOrEqual(12)
  })
})

describe('what Bigtable answers', () => {
  const halves = [COMPLICATED.encode().subarray(0, 50), COMPLICATED.encode().subarray(50)] as const
  const complicated = key(COMPLICATED.digest())

  it.each<[string, Chunk[][]]>([
    ['one piece', [[cell(complicated, COMPLICATED.encode())]]],
    [
      'two pieces in one message',
      [
        [
          cell(complicated, halves[0], { value_size: 119, commit_row: false }),
          { value: halves[1], commit_row: true },
        ],
      ],
    ],
    [
      'two pieces in two messages, and empty ones',
      [
        [],
        [cell(complicated, halves[0], { value_size: 119, commit_row: false })],
        [],
        [{ value: halves[1], commit_row: true }],
      ],
    ],
    [
      'a row that is begun again',
      [
        [cell(complicated, Uint8Array.of(1), { commit_row: false }), { reset_row: true }],
        [cell(complicated, COMPLICATED.encode())],
      ],
    ],
  ])('is put together from %s', async (_name, messages) => {
    server.answer(...messages)
    expect((await service.get(COMPLICATED.digest()))?.equals(COMPLICATED)).toBe(true)
  })

  it.each<[string, string, Chunk[][]]>([
    ['more than one row', 'storage', [[cell(KEEP, WITH_KEEP.encode()), cell(OTHER, A.encode())]]],
    ['got wrong row key', 'storage', [[cell(OTHER, A.encode())]]],
    [
      'more than one cell',
      'data-loss',
      [[cell(KEEP, WITH_KEEP.encode(), { commit_row: false }), cell(KEEP, WITH_KEEP.encode())]],
    ],
    [
      'unexpected cell qualifier',
      'data-loss',
      [[cell(KEEP, WITH_KEEP.encode(), { qualifier: { value: Buffer.from(OTHER) } })]],
    ],
    [
      'unexpected cell family',
      'data-loss',
      [[cell(KEEP, WITH_KEEP.encode(), { family_name: { value: 'cfx1' } })]],
    ],
    ['invalid digest', 'data-loss', [[cell(KEEP, A.encode())]]],
    ['invalid digest', 'data-loss', [[cell(KEEP, Uint8Array.of(0xff, 0xff))]]],
    ['row .* ended early', 'storage', [[cell(KEEP, WITH_KEEP.encode(), { commit_row: false })]]],
    ['a cell of row .* ended early', 'storage', [[cell(KEEP, WITH_KEEP.encode(), { value_size: 100 })]]],
    ['begins without its key', 'storage', [[{ value: WITH_KEEP.encode(), commit_row: true }]]],
    [
      'begins within row',
      'storage',
      [[cell(KEEP, A.encode(), { commit_row: false }), cell(OTHER, A.encode())]],
    ],
    ['has no column', 'storage', [[{ row_key: Buffer.from(KEEP), value: A.encode(), commit_row: true }]]],
    [
      'more than 10485760 bytes',
      'storage',
      [[cell(KEEP, A.encode(), { value_size: 10485761, commit_row: false })]],
    ],
    [
      'more than 10485760 bytes',
      'storage',
      Array.from({ length: 11 }, () => [
        cell(KEEP, new Uint8Array(1024 * 1024), { value_size: 1, commit_row: false }),
      ]),
    ],
  ])('is refused: %s (%s)', async (message, code, messages) => {
    server.answer(...messages)
    const refusal = { code, message: expect.stringMatching(message) }
    await expect(service.get(WITH_KEEP.digest())).rejects.toMatchObject(refusal)
    await expect(closureOf(service, WITH_KEEP.digest())).rejects.toMatchObject(refusal)
    expect(server.calls.ReadRows).toBe(2)
  })

  it('is refused when the bytes hash right and are no directory', async () => {
    const { B3Digest } = await import('@neve/castore-model')
    for (const bytes of [Uint8Array.of(0xff), Uint8Array.of(0x0a, 0x00), Uint8Array.of(0x20, 0x01)]) {
      const digest = B3Digest.of(bytes)
      server.answer([cell(key(digest), bytes)])
      await expect(service.get(digest)).rejects.toMatchObject({
        code: 'data-loss',
        message: expect.stringContaining('unable to decode directory'),
      })
    }
  })

  it('is refused in a batch too: rows that were not asked for, or came twice', async () => {
    server.serve([D])
    const root = server.read
    const thenSend = (...chunks: Chunk[]) => {
      server.read = (request, call) => {
        if (request.rows.row_keys.length === 1) return root(request, call)
        call.write({ chunks })
        return call.end()
      }
    }
    const [a, b] = [cell(key(A.digest()), A.encode()), cell(key(B.digest()), B.encode())]
    thenSend(a, cell(KEEP, WITH_KEEP.encode()))
    await expect(closureOf(service, D.digest())).rejects.toMatchObject({ message: /wrong row key/ })
    thenSend(a, a)
    await expect(closureOf(service, D.digest())).rejects.toMatchObject({ message: /more than one row/ })
    thenSend(a)
    await expect(closureOf(service, D.digest())).rejects.toMatchObject({
      code: 'data-loss',
      message: /does not exist/,
    })
    thenSend(a, b, a)
    await expect(closureOf(service, D.digest())).rejects.toMatchObject({ message: /more than one row/ })
    thenSend(a, b)
    expect(await closureOf(service, D.digest())).toHaveLength(3)
  })
})

describe('when Bigtable fails', () => {
  it.each([
    [status.UNAVAILABLE, 'unavailable', 4],
    [status.ABORTED, 'unavailable', 4],
    [status.RESOURCE_EXHAUSTED, 'unavailable', 4],
    [status.PERMISSION_DENIED, 'storage', 1],
    [status.INTERNAL, 'storage', 1],
    [status.NOT_FOUND, 'storage', 1],
  ])('status %i is %s after %i attempts', async (code, expected, attempts) => {
    server.read = (_request, call) => void call.emit('error', { code, details: 'told to' })
    server.mutate = server.read as never
    server.check = (_request, reply) => reply({ code, details: 'told to' })
    await expect(service.get(A.digest())).rejects.toMatchObject({
      code: expected,
      message: `unable to read rows: ${status[code]}: told to`,
    })
    await expect(service.put(A)).rejects.toMatchObject({
      code: expected,
      message: `unable to mutate rows: ${status[code]}: told to`,
    })
    expect(server.calls).toEqual({ ReadRows: attempts, MutateRows: 0, CheckAndMutateRow: attempts })
    server.answer()
    await expect(upload(service, A)).rejects.toMatchObject({ code: expected })
    expect(server.calls.MutateRows).toBe(attempts)
  })

  it('goes on when it was a passing fault, also of single entries', async () => {
    let faults = 2
    const answer = server.mutate
    const sizes: number[] = []
    server.mutate = (request, call) => {
      sizes.push(request.entries.length)
      if (faults-- <= 0) return answer(request, call)
      // The last entry has no result at all, the one before it a fault that passes.
      const entries = request.entries.slice(0, -1).map((_entry, index) => ({
        index,
        status: { code: index === request.entries.length - 2 ? status.UNAVAILABLE : 0 },
      }))
      call.write({ entries })
      return call.end()
    }
    const leaves = Array.from({ length: 10 }, (_, index) => directoryOf({ [`${index}`]: A.toNode() }))
    await upload(
      service,
      A,
      ...leaves,
      directoryOf(Object.fromEntries(leaves.map((leaf, i) => [`${i}`, leaf.toNode()]))),
    )
    expect(sizes).toEqual([1, 1, 1, 10, 1])
  })

  it('does not write a parent after its child could not be written', async () => {
    server.mutate = (request, call) => {
      call.write({
        entries: request.entries.map((_entry, index) => ({
          index,
          status: { code: status.INVALID_ARGUMENT, message: 'no' },
        })),
      })
      call.end()
    }
    await expect(upload(service, A, B)).rejects.toMatchObject({
      code: 'storage',
      message: 'unable to mutate rows: INVALID_ARGUMENT: no',
    })
    expect(server.calls.MutateRows).toBe(1)
  })

  it('stops waiting after the time-out, and when the signal fires', async () => {
    const impatient = await openBigtableDirectoryService(
      { ...CONFIG, timeout: '1' },
      { target: emulatorTarget(server.address) },
    )
    server.read = () => {}
    const reason = new Error('not wanted any more')
    const controller = new AbortController()
    const waiting = service.get(A.digest(), { signal: controller.signal })
    await vi.waitFor(() => expect(server.calls.ReadRows).toBe(1))
    controller.abort(reason)
    await expect(waiting).rejects.toBe(reason)
    await expect(impatient.get(A.digest())).rejects.toMatchObject({
      code: 'unavailable',
      message: 'unable to read rows: no answer within 1000 ms',
    })
    await impatient.close()
  }, 15_000)

  it('fails what runs when it is closed', async () => {
    server.read = () => {}
    const waiting = service.get(A.digest())
    await vi.waitFor(() => expect(server.calls.ReadRows).toBe(1))
    const closing = service.close()
    await expect(waiting).rejects.toMatchObject({ code: 'closed' })
    await closing
  })

  it('is unavailable when nobody is there', async () => {
    server.stop()
    await expect(service.get(A.digest())).rejects.toMatchObject({ code: 'unavailable' })
  })
})
