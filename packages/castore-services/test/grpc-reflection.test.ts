import { once } from 'node:events'
import type * as grpc from '@grpc/grpc-js'
import { CastoreError } from '@neve/castore-services'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import {
  addReflection,
  castoreServer,
  DescriptorFiles,
  loadDescriptors,
} from '@neve/castore-services/grpc/server'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { methodsOf, standardClient } from './standard-peer.js'

const SERVICES = [
  'snix.castore.v1.BlobService',
  'tvix.castore.v1.BlobService',
  'neve.castore.v1.BlobBatchService',
]

interface Answer {
  readonly valid_host: string
  readonly original_request: object
  readonly message_response: string
  readonly file_descriptor_response?: { readonly file_descriptor_proto: readonly Buffer[] }
  readonly list_services_response?: { readonly service: readonly { readonly name: string }[] }
  readonly all_extension_numbers_response?: { readonly base_type_name: string }
  readonly error_response?: { readonly error_code: number; readonly error_message: string }
}
type Call = grpc.ClientDuplexStream<object, Answer>

const server = castoreServer({
  blobs: new MemoryBlobService(),
  extend: (registry) => addReflection(registry, { services: SERVICES, descriptors }),
})
let descriptors: DescriptorFiles
let address: string

beforeAll(async () => {
  descriptors = await loadDescriptors()
  address = (await server.listen('127.0.0.1:0')).address
})
afterAll(() => server.close())

describe.each(['v1', 'v1alpha'])('grpc.reflection.%s', (version) => {
  let client: grpc.Client
  beforeAll(() => {
    client = standardClient(
      `grpc/reflection/${version}/reflection.proto`,
      `grpc.reflection.${version}.ServerReflection`,
      address,
    )
  })
  afterAll(() => client.close())

  const begin = () => methodsOf<{ ServerReflectionInfo(): Call }>(client).ServerReflectionInfo()

  /** The answers to requests of one stream. */
  async function ask(...requests: readonly object[]): Promise<Answer[]> {
    const call = begin()
    for (const request of requests) call.write(request)
    call.end()
    const answers: Answer[] = []
    for await (const answer of call) answers.push(answer as Answer)
    return answers
  }

  const fileNames = ({ file_descriptor_response }: Answer) =>
    file_descriptor_response!.file_descriptor_proto.map((bytes) =>
      bytes.subarray(2, 2 + bytes[1]!).toString(),
    )

  test('08#6 lists the services', async () => {
    const [answer] = await ask({ host: 'here', list_services: '*' })
    expect(answer!.list_services_response!.service.map(({ name }) => name)).toEqual(
      [...SERVICES, 'grpc.reflection.v1.ServerReflection', 'grpc.reflection.v1alpha.ServerReflection'].sort(),
    )
    expect(answer).toMatchObject({
      valid_host: 'here',
      original_request: { host: 'here', list_services: '*' },
    })
  })

  test('08#6 gives files by their names, with what they import', async () => {
    const [answer] = await ask({ file_by_filename: 'snix/castore/protos/rpc_directory.proto' })
    expect(fileNames(answer!)).toEqual([
      'snix/castore/protos/rpc_directory.proto',
      'snix/castore/protos/castore.proto',
    ])
  })

  test.each([
    ['a service', 'tvix.castore.v1.BlobService', 'tvix/castore/protos/rpc_blobstore.proto'],
    ['a method', 'snix.castore.v1.BlobService.Put', 'snix/castore/protos/rpc_blobstore.proto'],
    ['a message', 'tvix.castore.v1.Node', 'tvix/castore/protos/castore.proto'],
    ['the other name of it', 'snix.castore.v1.Entry', 'snix/castore/protos/castore.proto'],
    ['a field', 'snix.castore.v1.FileEntry.executable', 'snix/castore/protos/castore.proto'],
    ['a oneof', 'snix.castore.v1.Entry.entry', 'snix/castore/protos/castore.proto'],
    [
      'a nested message',
      'tvix.castore.v1.StatBlobResponse.ChunkMeta',
      'tvix/castore/protos/rpc_blobstore.proto',
    ],
    ['a nested enum', 'neve.castore.v1.BlobAnswer.Outcome', 'neve/castore/protos/rpc_blob_batch.proto'],
    ['a value of an enum', 'neve.castore.v1.BlobAnswer.LEFT_OUT', 'neve/castore/protos/rpc_blob_batch.proto'],
    ['itself', `grpc.reflection.${version}.ServerReflection`, `grpc/reflection/${version}/reflection.proto`],
  ])('08#6 finds the file of %s', async (_, symbol, file) => {
    const [answer] = await ask({ file_containing_symbol: symbol })
    expect(fileNames(answer!)[0]).toBe(file)
  })

  test('tells of an import once in a stream, unless it is asked for', async () => {
    const symbol = { file_containing_symbol: 'snix.castore.v1.DirectoryService' }
    const answers = await ask(symbol, { file_containing_symbol: 'snix.castore.v1.Directory' }, symbol)
    expect(answers.map((answer) => fileNames(answer).length)).toEqual([2, 1, 1])
  })

  test('what is not there is an answer, and the stream goes on', async () => {
    const answers = await ask(
      { file_containing_symbol: 'snix.castore.v1.Node' },
      { file_by_filename: '../../etc/passwd' },
      { file_containing_extension: { containing_type: 'snix.castore.v1.Entry', extension_number: 7 } },
      { all_extension_numbers_of_type: 'no.such.Message' },
      {},
      { all_extension_numbers_of_type: 'snix.castore.v1.Entry' },
    )
    expect(answers.map(({ error_response }) => error_response?.error_code)).toEqual([
      5,
      5,
      5,
      5,
      3,
      undefined,
    ])
    expect(answers[1]!.error_response!.error_message).toBe('there is no file ../../etc/passwd')
    expect(answers[5]!.all_extension_numbers_response!.base_type_name).toBe('snix.castore.v1.Entry')
  })

  test('a stream of requests without end is ended, and so is one that asks for too much', async () => {
    const endless = begin()
    const failed = once(endless, 'error')
    endless.on('data', () => {})
    for (let sent = 0; sent <= 10_000; sent++) endless.write({ file_by_filename: 'none' })
    expect((await failed)[0]).toMatchObject({ code: 8, details: 'more than 10000 requests in one stream' })
    await expect(ask({ file_by_filename: 'x'.repeat(8192) })).rejects.toMatchObject({ code: 3 })
  })
})

describe('descriptor sets', () => {
  test('of what is no descriptor set are refused, whatever it is', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          new DescriptorFiles([bytes])
        } catch (error) {
          expect(error).toBeInstanceOf(CastoreError)
        }
      }),
    )
    expect(() => new DescriptorFiles([Uint8Array.of(0x0a, 0x05)])).toThrow('unusable descriptor set')
  })

  test('files that import each other are given once', () => {
    const file = (name: string, imported: string) =>
      Uint8Array.of(10, 6, 10, 1, name.charCodeAt(0), 26, 1, imported.charCodeAt(0))
    const files = new DescriptorFiles([file('a', 'b'), file('b', 'a')])
    expect(files.withImports(files.byName('a')!).map(({ name }) => name)).toEqual(['a', 'b'])
  })
})
