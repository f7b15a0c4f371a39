import { snix } from '@neve/castore-model/proto'
import { blobChunk, encodedBlobChunk } from './blob-chunk.js'
import { generated } from './generated-codec.js'
import {
  clientStreaming,
  type GrpcServiceDefinition,
  grpcService,
  type MessageCodec,
  serverStreaming,
  unary,
} from './service-definition.js'

const messages = snix.castore.v1

/** Where the bytes themselves are what counts: they are hashed before anything believes them. */
const raw: MessageCodec<Uint8Array> = { encode: (bytes) => bytes, decode: (bytes) => bytes }

/**
 * `BlobService` (spec 02 section 5). The answers to a Stat are bytes, for the coder of the model; the messages of Read
 * and Put are the data in them, but a client puts them encoded.
 */
export const BLOB_GRPC_SERVICE = grpcService('castore.v1.BlobService', {
  Stat: unary(generated(messages.StatBlobRequest), raw),
  Read: serverStreaming(generated(messages.ReadBlobRequest), blobChunk),
  Put: clientStreaming(encodedBlobChunk, generated(messages.PutBlobResponse)),
})

/** `DirectoryService` (spec 01 section 7.3). Directories are the bytes of their messages. */
export const DIRECTORY_GRPC_SERVICE = grpcService('castore.v1.DirectoryService', {
  Get: serverStreaming(generated(messages.GetDirectoryRequest), raw),
  Put: clientStreaming(raw, generated(messages.PutDirectoryResponse)),
})

type Methods<S> = S extends GrpcServiceDefinition<infer D> ? D : never
/** The methods of {@link BLOB_GRPC_SERVICE}, for nice-grpc. */
export type BlobMethods = Methods<typeof BLOB_GRPC_SERVICE>
/** The methods of {@link DIRECTORY_GRPC_SERVICE}, for nice-grpc. */
export type DirectoryMethods = Methods<typeof DIRECTORY_GRPC_SERVICE>
