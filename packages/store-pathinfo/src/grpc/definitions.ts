import {
  type GrpcServiceDefinition,
  generated,
  grpcService,
  type MessageCodec,
  serverStreaming,
  unary,
} from '@neve/castore-services/grpc'
import { snix } from '../generated/store-proto.js'

const messages = snix.store.v1

/** Path infos and nodes are read where a refusal can say what is wrong with them. */
const raw: MessageCodec<Uint8Array> = { encode: (bytes) => bytes, decode: (bytes) => bytes }

/** `PathInfoService` (spec 07 section 2.6). Path infos and nodes are the bytes of their messages. */
export const PATH_INFO_GRPC_SERVICE = grpcService('store.v1.PathInfoService', {
  Get: unary(generated(messages.GetPathInfoRequest), raw),
  Put: unary(raw, raw),
  CalculateNAR: unary(raw, generated(messages.CalculateNARResponse)),
  List: serverStreaming(generated(messages.ListPathInfoRequest), raw),
})

type Methods<S> = S extends GrpcServiceDefinition<infer D> ? D : never
/** The methods of {@link PATH_INFO_GRPC_SERVICE}, for nice-grpc. */
export type PathInfoMethods = Methods<typeof PATH_INFO_GRPC_SERVICE>
