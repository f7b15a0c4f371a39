import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from '@grpc/grpc-js'
import type { Directory } from '@neve/castore-model'
import type { BigtableConfigInput } from '@neve/castore-services/directory/bigtable'
import { grpcServices } from './servers/bigtable-emulator.js'

export interface Chunk {
  row_key?: Uint8Array
  family_name?: { value: string }
  qualifier?: { value: Uint8Array }
  value?: Uint8Array
  value_size?: number
  commit_row?: boolean
  reset_row?: boolean
}
export type ReadRequest = {
  table_name: string
  app_profile_id: string
  rows: { row_keys: Uint8Array[] }
  filter: { chain: { filters: Record<string, unknown>[] } }
  rows_limit: number
}
export type Mutation = Record<'set_cell' | 'delete_from_column', Record<string, unknown> | null>
export type MutateRequest = { entries: { row_key: Uint8Array; mutations: Mutation[] }[] }
export type CheckRequest = {
  row_key: Uint8Array
  true_mutations: Mutation[]
  false_mutations: Mutation[]
} & Record<string, unknown>

export const CONFIG: BigtableConfigInput = {
  project_id: 'project-1',
  instance_name: 'instance-1',
  table_name: 'table-1',
  family_name: 'cf.1',
}

/** A server of an independent library that answers what a test tells it to. */
export class ScriptedServer {
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

export function cell(key: string, value: Uint8Array, more: Chunk = {}): Chunk {
  return {
    row_key: Buffer.from(key),
    family_name: { value: 'cf.1' },
    qualifier: { value: Buffer.from(key) },
    value,
    commit_row: true,
    ...more,
  }
}
