import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js'
import type { B3Digest, Directory } from '@neve/castore-model'
import {
  type BigtableConfigInput,
  bigtableConfigFromUrl,
  bigtableConfigSchema,
  emulatorTarget,
  googleHeaders,
  openBigtableDirectoryService,
} from '@neve/castore-services/directory/bigtable'
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
import { temporaryFolder } from './embedded-fixture.js'
import { grpcServices } from './servers/bigtable-emulator.js'

interface Chunk {
  row_key?: Uint8Array
  family_name?: { value: string }
  qualifier?: { value: Uint8Array }
  value?: Uint8Array
  value_size?: number
  commit_row?: boolean
  reset_row?: boolean
}
type ReadRequest = {
  table_name: string
  app_profile_id: string
  rows: { row_keys: Uint8Array[] }
  filter: { chain: { filters: Record<string, unknown>[] } }
  rows_limit: number
}
type Mutation = Record<'set_cell' | 'delete_from_column', Record<string, unknown> | null>
type MutateRequest = { entries: { row_key: Uint8Array; mutations: Mutation[] }[] }
type CheckRequest = { row_key: Uint8Array; true_mutations: Mutation[]; false_mutations: Mutation[] } & Record<
  string,
  unknown
>

const CONFIG: BigtableConfigInput = {
  project_id: 'project-1',
  instance_name: 'instance-1',
  table_name: 'table-1',
  family_name: 'cf.1',
}

/** A server of an independent library that answers what a test tells it to. */
class ScriptedServer {
  readonly calls = { ReadRows: 0, MutateRows: 0, CheckAndMutateRow: 0 }
  readonly metadata: Record<string, unknown>[] = []
  read: (request: ReadRequest, call: ServerWritableStream<ReadRequest, unknown>) => void = (_request, call) =>
    call.end()
  mutate: (request: MutateRequest, call: ServerWritableStream<MutateRequest, unknown>) => void = (
    request,
    call,
  ) => {
    call.write({ entries: request.entries.map((_entry, index) => ({ index, status: { code: 0 } })) })
    call.end()
  }
  check: (request: CheckRequest, reply: (error: object | null, response?: object) => void) => void = (
    _request,
    reply,
  ) => reply(null, { predicate_matched: false })
  readonly #server = new Server()
  address = ''

  async start(): Promise<void> {
    const { Bigtable } = grpcServices('../../proto/bigtable.proto', 'google.bigtable.v2')
    this.#server.addService(Bigtable!.service, {
      ReadRows: (call: ServerWritableStream<ReadRequest, unknown>) => {
        this.calls.ReadRows += 1
        this.metadata.push(call.metadata.getMap())
        this.read(call.request, call)
      },
      MutateRows: (call: ServerWritableStream<MutateRequest, unknown>) => {
        this.calls.MutateRows += 1
        this.mutate(call.request, call)
      },
      CheckAndMutateRow: (call: ServerUnaryCall<CheckRequest, unknown>, reply: sendUnaryData<object>) => {
        this.calls.CheckAndMutateRow += 1
        this.check(call.request, (error, response) => reply(error, response))
      },
    })
    const port = await new Promise<number>((resolve, reject) => {
      this.#server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      )
    })
    this.address = `127.0.0.1:${port}`
  }

  stop(): void {
    this.#server.forceShutdown()
  }

  /** Answers reads with these pieces, whatever was asked for. */
  answer(...messages: Chunk[][]): void {
    this.read = (_request, call) => {
      for (const chunks of messages) call.write({ chunks })
      call.end()
    }
  }

  /** Answers reads from these directories, as a table would. */
  serve(directories: readonly Directory[]): void {
    const rows = new Map(directories.map((directory) => [directory.digest().toHex(), directory.encode()]))
    this.read = (request, call) => {
      for (const key of request.rows.row_keys.map(String).toSorted()) {
        const value = rows.get(key)
        if (value !== undefined) call.write({ chunks: [cell(key, value)] })
      }
      call.end()
    }
  }
}

function cell(key: string, value: Uint8Array, more: Chunk = {}): Chunk {
  return {
    row_key: Buffer.from(key),
    family_name: { value: 'cf.1' },
    qualifier: { value: Buffer.from(key) },
    value,
    commit_row: true,
    ...more,
  }
}

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

describe('the configuration of Bigtable', () => {
  it('has defaults', () => {
    expect(bigtableConfigSchema.parse(CONFIG)).toEqual({
      ...CONFIG,
      is_read_only: false,
      channel_size: 4,
      timeout: '4',
      app_profile_id: 'default',
    })
    expect(bigtableConfigSchema.parse({ ...CONFIG, timeout: null }).timeout).toBeNull()
  })

  const base = 'project_id=p&table_name=t&family_name=f'
  it.each([
    `bigtable://instance-1?${base}`,
    `bigtable://instance-1?${base}&channel_size=10&timeout=10`,
    `bigtable://instance-1?${base}&is_read_only=true&app_profile_id=other`,
  ])('03#30 takes %s', (url) => {
    const config = bigtableConfigSchema.parse(bigtableConfigFromUrl(url))
    expect(config).toMatchObject({
      instance_name: 'instance-1',
      project_id: 'p',
      table_name: 't',
      family_name: 'f',
    })
    if (url.includes('channel_size')) expect(config).toMatchObject({ channel_size: 10, timeout: '10' })
    if (url.includes('read_only'))
      expect(config).toMatchObject({ is_read_only: true, app_profile_id: 'other' })
  })

  it.each([
    ['bigtable://instance-1', 'project_id'],
    [`bigtable:?${base}`, 'instance name missing'],
    [`bigtable://?${base}`, 'instance name missing'],
    [`bigtable://i/?${base}`, "path may not be set, got '/'"],
    [`bigtable://i/table?${base}`, 'path may not be set'],
    [`bigtable://i:80?${base}`, 'port may not be set'],
    [`bigtable://user:secret@i?${base}`, 'user and password may not be set'],
    [`bigtable://i?${base}#x`, 'fragment may not be set'],
    [`bigtable://i?${base}&project_id=q`, "'project_id' is there twice"],
    [`bigtable://i?${base}&instance_name=j`, "'instance_name' is there twice"],
    [`bigtable://i?${base}&colour=red`, 'unknown key colour'],
    [`bigtable://i?${base}&channel_size=0`, 'channel_size'],
    [`bigtable://i?${base}&channel_size=many`, 'channel_size'],
    [`bigtable://i?${base}&channel_size=65`, 'channel_size'],
    [`bigtable://i?${base}&timeout=0`, 'timeout'],
    [`bigtable://i?${base}&timeout=1.5`, 'timeout'],
    [`bigtable://i?${base}&timeout=`, 'timeout'],
    [`bigtable://i?${base}&is_read_only=yes`, 'is_read_only'],
    ['bigtable://i?project_id=p/q&table_name=t&family_name=f', 'project_id'],
    ['bigtable://i?project_id=p&table_name=t&family_name=.*', 'family_name'],
    ['bigtable://i?project_id=p&table_name=&family_name=f', 'table_name'],
    [`bigtable+x://i?${base}`, 'expected bigtable:'],
    [`http://i?${base}`, 'expected bigtable:'],
    ['no url', 'unable to parse'],
  ])('03#30 refuses %s', async (url, message) => {
    const refusal = await openBigtableDirectoryService(url).catch((error: unknown) => error)
    expect(refusal).toMatchObject({ name: 'CastoreError', code: 'invalid-request' })
    expect(String(refusal)).toContain(message)
    expect(String(refusal)).not.toContain('secret')
  })

  it.each([
    ['a number as time-out', { timeout: 10 }],
    ['text for a flag', { is_read_only: 'yes' }],
    ['half a channel', { channel_size: 1.5 }],
    ['an unknown key', { colour: 'red' }],
  ])('refuses %s', async (_name, more) => {
    const config = { ...CONFIG, ...more } as BigtableConfigInput
    await expect(openBigtableDirectoryService(config)).rejects.toMatchObject({
      code: 'invalid-request',
      message: expect.stringContaining(Object.keys(more)[0]!),
    })
  })

  it.each([
    ['127.0.0.1:8086', '127.0.0.1:8086'],
    ['unix:/run/bigtable', 'unix:/run/bigtable'],
    ['unix:///run/bigtable', 'unix:/run/bigtable'],
  ])('finds an emulator at %s', (host, address) => {
    expect(emulatorTarget(host)).toEqual({ address, tls: false })
  })
})

describe('credentials of Bigtable', () => {
  it('are asked for with the scope, and sent with every request', async () => {
    const scopes: string[] = []
    const tokens = createServer((request, response) => {
      let body = ''
      request.on('data', (piece) => {
        body += piece
      })
      request.on('end', () => {
        scopes.push(new URLSearchParams(body).get('scope')!)
        response.setHeader('content-type', 'application/json')
        response.end(
          JSON.stringify({
            access_token: 'token-1',
            expires_in: 3600,
            token_type: 'Bearer',
            issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
          }),
        )
      })
    })
    await new Promise<void>((resolve) => tokens.listen(0, '127.0.0.1', resolve))
    try {
      const folder = temporaryFolder()
      const [file, subject] = [join(folder, 'credentials.json'), join(folder, 'subject')]
      const { port } = tokens.address() as AddressInfo
      const account = {
        type: 'external_account',
        audience:
          '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/test',
        subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
        token_url: `http://127.0.0.1:${port}/token`,
        credential_source: { file: subject },
      }
      writeFileSync(subject, 'subject-secret')
      writeFileSync(file, JSON.stringify(account))
      vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', file)
      const headers = await googleHeaders('https://www.googleapis.com/auth/bigtable.data', 'project-1')
      const authorized = await openBigtableDirectoryService(CONFIG, {
        target: { ...emulatorTarget(server.address), headers },
      })
      server.serve([A])
      expect(await authorized.get(A.digest())).toBeDefined()
      expect(server.metadata[0]).toMatchObject({ authorization: 'Bearer token-1' })
      await authorized.get(A.digest())
      await authorized.close()
      // One token serves many requests.
      expect(scopes).toEqual(['https://www.googleapis.com/auth/bigtable.data'])
    } finally {
      vi.unstubAllEnvs()
      tokens.close()
    }
  })

  it('that cannot be had are unavailable, and are not shown', async () => {
    const headers = async () => {
      throw Object.assign(new Error('the token service does not answer'), { config: { data: 'secret' } })
    }
    const target = { ...emulatorTarget(server.address), headers }
    const refused = await openBigtableDirectoryService(CONFIG, { target })
    const error = await refused.get(A.digest()).catch((reason: unknown) => reason)
    expect(error).toMatchObject({
      code: 'unavailable',
      message: 'unable to get credentials for bigtable: the token service does not answer',
    })
    expect((error as Error).cause).toBeUndefined()
    expect(server.calls.ReadRows).toBe(0)
    await refused.close()
  })
})
