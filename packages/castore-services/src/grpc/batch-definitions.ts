import { neve } from '@neve/castore-model/proto'
import { putFramedRequest } from './framed-messages.js'
import { generated } from './generated-codec.js'
import { type GrpcServiceDefinition, grpcService, unary } from './service-definition.js'

const messages = neve.castore.v1

/** `BlobBatchService`: many small blobs in one call, ours only. */
export const BLOB_BATCH_GRPC_SERVICE = grpcService(
  'castore.v1.BlobBatchService',
  {
    Has: unary(generated(messages.HasBlobsRequest), generated(messages.HasBlobsResponse)),
    Get: unary(generated(messages.GetBlobsRequest), generated(messages.GetBlobsResponse)),
    Put: unary(generated(messages.PutBlobsRequest), generated(messages.PutBlobsResponse)),
    PutFramed: unary(putFramedRequest, generated(messages.PutFramedBlobsResponse)),
  },
  ['neve'],
)

type Methods<S> = S extends GrpcServiceDefinition<infer D> ? D : never
/** The methods of {@link BLOB_BATCH_GRPC_SERVICE}, for nice-grpc. */
export type BlobBatchMethods = Methods<typeof BLOB_BATCH_GRPC_SERVICE>

/** The most blobs of one call. */
export const MAX_BATCH_BLOBS = 1024
/** A larger blob goes alone, in bytes. */
export const MAX_BATCHED_BLOB = 64 * 1024
/** The most content of one call, in bytes: with what stands around it, it fits what everybody accepts of a message. */
export const MAX_BATCH_BYTES = 3 * 1024 * 1024

/** The most plain bytes of a blob that comes as frames. */
export const MAX_FRAMED_BLOB = 4 * 1024 * 1024
/** The most chunks of the blobs of one call that come as frames. */
export const MAX_FRAMED_CHUNKS = 4096

/** The outcomes of a `BlobAnswer`. */
export const Outcome = messages.BlobAnswer.Outcome
