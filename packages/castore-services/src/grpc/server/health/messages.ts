import protobuf from 'protobufjs/minimal.js'
import type { MessageCodec } from '../../service-definition.js'

// The messages of proto/grpc/health/v1/health.proto.

const { Reader, Writer } = protobuf

/** The `ServingStatus` values of a HealthCheckResponse. */
export const ServingStatus = { SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } as const
/** One of {@link ServingStatus}. */
export type ServingStatus = (typeof ServingStatus)[keyof typeof ServingStatus]

/** Of the requests: the name of a service. */
export const healthCheckRequest: MessageCodec<{ readonly service: string }> = {
  encode: ({ service }) => Writer.create().uint32(10).string(service).finish(),
  decode: (bytes) => {
    const reader = Reader.create(bytes)
    let service = ''
    while (reader.pos < reader.len) {
      const tag = reader.uint32()
      if (tag === 10) service = reader.string()
      else reader.skipType(tag & 7)
    }
    return { service }
  },
}

/** Of the answers: one of {@link ServingStatus}; 0 when a server says nothing. */
export const healthCheckResponse: MessageCodec<{ readonly status: number }> = {
  encode: ({ status }) => Writer.create().uint32(8).int32(status).finish(),
  decode: (bytes) => {
    const reader = Reader.create(bytes)
    let status = 0
    while (reader.pos < reader.len) {
      const tag = reader.uint32()
      if (tag === 8) status = reader.int32()
      else reader.skipType(tag & 7)
    }
    return { status }
  },
}
