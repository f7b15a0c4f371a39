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

/** Lists are decoded where a refusal can say what is wrong. */
const raw: MessageCodec<Uint8Array> = { encode: (bytes) => bytes, decode: (bytes) => bytes }

/**
 * `ChunkStoreService`, of Snix only (spec 10 section 1). The messages of GetChunk and PutChunk have the form of a
 * `BlobChunk`: they are the data in them, but a client puts them encoded.
 */
export const CHUNK_STORE_GRPC_SERVICE = grpcService(
  'castore.v1.ChunkStoreService',
  {
    StatChunk: unary(generated(messages.StatChunkRequest), generated(messages.StatChunkResponse)),
    GetChunk: serverStreaming(generated(messages.GetChunkRequest), blobChunk),
    PutChunk: clientStreaming(encodedBlobChunk, generated(messages.PutChunkResponse)),
  },
  ['snix'],
)

/** `BlobStoreService`, of Snix only (spec 10 section 1). */
export const BLOB_STORE_GRPC_SERVICE = grpcService(
  'castore.v1.BlobStoreService',
  {
    StatBlob: unary(generated(messages.BSStatBlobRequest), generated(messages.BSStatBlobResponse)),
    GetBlob: unary(generated(messages.GetBlobRequest), raw),
    PutBlob: unary(raw, generated(messages.BSPutBlobResponse)),
  },
  ['snix'],
)

type Methods<S> = S extends GrpcServiceDefinition<infer D> ? D : never
/** The methods of {@link CHUNK_STORE_GRPC_SERVICE}, for nice-grpc. */
export type ChunkStoreMethods = Methods<typeof CHUNK_STORE_GRPC_SERVICE>
/** The methods of {@link BLOB_STORE_GRPC_SERVICE}, for nice-grpc. */
export type BlobStoreMethods = Methods<typeof BLOB_STORE_GRPC_SERVICE>
