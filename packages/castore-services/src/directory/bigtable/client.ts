import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Channel,
  ChannelCredentials,
  type Client,
  type CallOptions as ClientCallOptions,
  ClientError,
  createChannel,
  createClient,
  Metadata,
  type MethodDefinition,
  Status,
} from 'nice-grpc'
import type { CallOptions } from '../../call-options.js'
import { abortable } from '../../concurrency/abortable.js'
import { linkSignals } from '../../concurrency/linked-signal.js'
import { CastoreError } from '../../errors.js'
import {
  type CellChunk,
  type CellWrite,
  type CheckAndMutateRowRequest,
  type ColumnFilter,
  decodeCheckAndMutateRowResponse,
  decodeMutateRowsResponse,
  decodeReadRowsResponse,
  type EntryStatus,
  encodeCheckAndMutateRow,
  encodeMutateRows,
  encodeReadRows,
  type MutateRowsRequest,
  type ReadRowsRequest,
} from './messages.js'
import { assembleRows, MAX_CELL_SIZE, type Row } from './rows.js'
import type { BigtableTarget } from './target.js'

/** What a {@link BigtableClient} talks to. */
export interface BigtableClientInit {
  readonly target: BigtableTarget
  /** `projects/…/instances/…/tables/…` */
  readonly table: string
  readonly appProfile: string
  /** How many connections. */
  readonly channels: number
  /** The longest that a request may take, in milliseconds. Default: no limit. */
  readonly timeout?: number | undefined
}

const DEFINITION = {
  readRows: {
    ...method<ReadRowsRequest, CellChunk[]>('ReadRows', encodeReadRows, decodeReadRowsResponse),
    responseStream: true as const,
  },
  mutateRows: {
    ...method<MutateRowsRequest, EntryStatus[]>('MutateRows', encodeMutateRows, decodeMutateRowsResponse),
    responseStream: true as const,
  },
  checkAndMutateRow: {
    ...method<CheckAndMutateRowRequest, { readonly matched: boolean }>(
      'CheckAndMutateRow',
      encodeCheckAndMutateRow,
      (bytes) => ({ matched: decodeCheckAndMutateRowResponse(bytes) }),
    ),
    responseStream: false as const,
  },
}

type BigtableCalls = Client<typeof DEFINITION>

const CHANNEL_OPTIONS = {
  'grpc.max_receive_message_length': MAX_CELL_SIZE + 1024 * 1024,
  'grpc.max_send_message_length': -1,
  'grpc.keepalive_time_ms': 30_000,
  // Else channels to one address share one connection, and there is no point in several.
  'grpc.use_local_subchannel_pool': 1,
}

const ATTEMPTS = 4
const FIRST_PAUSE = 20

/** Nothing was done, or doing it again does no harm: everything that we write is the same every time. */
const TRANSIENT: ReadonlySet<number> = new Set([
  Status.UNAVAILABLE,
  Status.ABORTED,
  Status.DEADLINE_EXCEEDED,
  Status.RESOURCE_EXHAUSTED,
])

/** Reads and writes cells of one table. Requests that failed for reasons that pass are made again, with pauses. */
export class BigtableClient {
  readonly #init: BigtableClientInit
  readonly #channels: readonly Channel[]
  readonly #clients: readonly BigtableCalls[]
  readonly #routing: string
  readonly #closing = new AbortController()
  #turn = 0

  constructor(init: BigtableClientInit) {
    this.#init = init
    // Every request that runs listens to it.
    setMaxListeners(0, this.#closing.signal)
    const { address, tls } = init.target
    this.#channels = Array.from({ length: init.channels }, () =>
      createChannel(
        address,
        tls ? ChannelCredentials.createSsl() : ChannelCredentials.createInsecure(),
        CHANNEL_OPTIONS,
      ),
    )
    this.#clients = this.#channels.map((channel) => createClient(DEFINITION, channel))
    this.#routing = `table_name=${encodeURIComponent(init.table)}&app_profile_id=${encodeURIComponent(init.appProfile)}`
  }

  /** All rows of the given keys that have something in the column. @param limit 0: all */
  async readRows(
    keys: readonly Uint8Array[],
    filter: ColumnFilter,
    limit: number,
    options: CallOptions,
  ): Promise<Row[]> {
    const { table, appProfile } = this.#init
    return this.#call('unable to read rows', options, async (client, call) => {
      const rows: Row[] = []
      const responses = client.readRows({ table, appProfile, keys, filter, limit }, call)
      for await (const row of assembleRows(responses)) {
        rows.push(row)
        if (rows.length > keys.length) {
          throw new CastoreError('storage', 'got more than one row from bigtable for a key')
        }
      }
      return rows
    })
  }

  /** The first rows whose keys come after one, and that have something in the column, in the order of their keys. */
  async readRowsAfter(
    after: Uint8Array,
    filter: ColumnFilter,
    limit: number,
    options: CallOptions,
  ): Promise<Row[]> {
    const { table, appProfile } = this.#init
    return this.#call('unable to read rows', options, async (client, call) => {
      const rows: Row[] = []
      const responses = client.readRows({ table, appProfile, keys: [], after, filter, limit }, call)
      for await (const row of assembleRows(responses)) {
        rows.push(row)
        if (rows.length > limit)
          throw new CastoreError('storage', 'got more rows from bigtable than asked for')
      }
      return rows
    })
  }

  /** Writes cells, each in place of whatever its column had. */
  async writeCells(cells: readonly CellWrite[], options: CallOptions): Promise<void> {
    const { table, appProfile } = this.#init
    let left = cells
    await this.#call('unable to mutate rows', options, async (client, call) => {
      const results = new Map<number, EntryStatus>()
      for await (const entries of client.mutateRows({ table, appProfile, cells: left }, call)) {
        for (const entry of entries) results.set(entry.index, entry)
      }
      const failures: EntryStatus[] = []
      left = left.filter((_cell, index) => {
        const result = results.get(index) ?? { index, code: Status.UNAVAILABLE, message: 'no result' }
        if (result.code !== Status.OK) failures.push(result)
        return result.code !== Status.OK
      })
      const worst = failures.find(({ code }) => !TRANSIENT.has(code)) ?? failures[0]
      if (worst !== undefined) throw new ClientError('MutateRows', worst.code, worst.message)
    })
  }

  /** Writes a cell unless something is there. @returns whether something was */
  async writeCellUnless(cell: CellWrite, unless: ColumnFilter, options: CallOptions): Promise<boolean> {
    return this.#writeConditionally(cell, unless, undefined, options)
  }

  /** Writes a cell in place of one that has the value that is expected. @returns whether there was one */
  async replaceCell(
    cell: CellWrite,
    filter: ColumnFilter,
    expected: Uint8Array,
    options: CallOptions,
  ): Promise<boolean> {
    return this.#writeConditionally(cell, filter, expected, options)
  }

  async #writeConditionally(
    cell: CellWrite,
    filter: ColumnFilter,
    expected: Uint8Array | undefined,
    options: CallOptions,
  ): Promise<boolean> {
    const { table, appProfile } = this.#init
    const { matched } = await this.#call('unable to mutate rows', options, (client, call) =>
      client.checkAndMutateRow({ table, appProfile, cell, filter, expected }, call),
    )
    return matched
  }

  close(): void {
    if (this.#closing.signal.aborted) return
    this.#closing.abort(new CastoreError('closed', 'the service is closed'))
    for (const channel of this.#channels) channel.close()
  }

  async #call<T>(
    what: string,
    { signal }: CallOptions,
    call: (client: BigtableCalls, options: ClientCallOptions) => Promise<T>,
  ): Promise<T> {
    using linked = linkSignals(this.#closing.signal, signal)
    for (let attempt = 1; ; attempt++) {
      linked.signal.throwIfAborted()
      using deadline = new Deadline(this.#init.timeout, linked.signal)
      try {
        const metadata = await this.#metadata(deadline.signal)
        this.#turn = (this.#turn + 1) % this.#clients.length
        return await call(this.#clients[this.#turn]!, { signal: deadline.signal, metadata })
      } catch (error) {
        linked.signal.throwIfAborted()
        if (error instanceof CastoreError) throw error
        const transient = deadline.passed || (error instanceof ClientError && TRANSIENT.has(error.code))
        if (!transient || attempt === ATTEMPTS) throw callError(what, error, deadline, transient)
      }
      await sleep(FIRST_PAUSE * 4 ** (attempt - 1) * (0.5 + Math.random()), undefined, {
        signal: linked.signal,
      }).catch(() => linked.signal.throwIfAborted())
    }
  }

  async #metadata(signal: AbortSignal): Promise<Metadata> {
    const metadata = new Metadata({ 'x-goog-request-params': this.#routing })
    const { headers } = this.#init.target
    if (headers === undefined) return metadata
    try {
      for (const [name, value] of await abortable(headers(), signal)) metadata.set(name, value)
    } catch (error) {
      signal.throwIfAborted()
      const text = error instanceof Error ? error.message : String(error)
      // Without its cause: that has the request for a token in it, and with it what is secret.
      throw new CastoreError('unavailable', `unable to get credentials for bigtable: ${text}`)
    }
    return metadata
  }
}

function method<Request, Response>(
  name: string,
  encode: (request: Request) => Uint8Array,
  decode: (bytes: Uint8Array) => Response,
): Omit<MethodDefinition<Request, Request, Response, Response, false, false>, 'responseStream'> {
  return {
    path: `/google.bigtable.v2.Bigtable/${name}`,
    requestStream: false,
    requestSerialize: encode,
    requestDeserialize: () => {
      throw new Error('requests are not read')
    },
    responseSerialize: () => {
      throw new Error('responses are not written')
    },
    responseDeserialize: decode,
    options: {},
  }
}

function callError(what: string, cause: unknown, deadline: Deadline, transient: boolean): CastoreError {
  if (deadline.passed) {
    return new CastoreError('unavailable', `${what}: no answer within ${deadline.timeout} ms`, { cause })
  }
  const detail =
    cause instanceof ClientError ? `${Status[cause.code] ?? cause.code}: ${cause.details}` : String(cause)
  return new CastoreError(transient ? 'unavailable' : 'storage', `${what}: ${detail}`, { cause })
}

/** A signal that fires with another one, or when the time is over. */
class Deadline implements Disposable {
  readonly #controller = new AbortController()
  readonly #linked: ReturnType<typeof linkSignals>
  readonly #timer: NodeJS.Timeout | undefined
  passed = false

  constructor(
    readonly timeout: number | undefined,
    signal: AbortSignal,
  ) {
    this.#linked = linkSignals(this.#controller.signal, signal)
    if (timeout === undefined) return
    this.#timer = setTimeout(() => {
      this.passed = true
      this.#controller.abort()
    }, timeout)
  }

  get signal(): AbortSignal {
    return this.#linked.signal
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#linked[Symbol.dispose]()
  }
}
