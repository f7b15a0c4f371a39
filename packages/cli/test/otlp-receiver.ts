import { createServer } from 'node:http'
import protobuf from 'protobufjs/minimal.js'
import { onTestFinished } from 'vitest'

/** A span as it came over OTLP. */
export interface ReceivedSpan {
  readonly service: string
  readonly traceId: string
  readonly spanId: string
  /** Empty of the first span of a trace. */
  readonly parent: string
  readonly name: string
  /** 1 internal, 2 server, 3 client. */
  readonly kind: number
}

/** What collects the telemetry of processes. */
export interface OtlpReceiver {
  readonly url: string
  readonly spans: readonly ReceivedSpan[]
  /** Names of metrics. */
  readonly metrics: ReadonlySet<string>
  /** Names of services that sent anything. */
  readonly services: ReadonlySet<string>
  /** The attributes of resources, by their names. */
  readonly attributes: ReadonlyMap<string, string>
}

/** A receiver of OTLP over HTTP, protobuf. */
export async function otlpReceiver(): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = []
  const metrics = new Set<string>()
  const services = new Set<string>()
  const attributes = new Map<string, string>()
  const server = createServer(async (request, response) => {
    const pieces: Buffer[] = []
    for await (const piece of request) pieces.push(piece as Buffer)
    for (const resource of lists(Buffer.concat(pieces), 1)) {
      const own = attributesOf(resource)
      for (const [name, value] of own) attributes.set(name, value)
      const service = own.get('service.name') ?? ''
      services.add(service)
      for (const scope of lists(resource, 2)) {
        for (const item of lists(scope, 2)) {
          if (request.url === '/v1/traces') spans.push(spanOf(item, service))
          else metrics.add(lists(item, 1).toString())
        }
      }
    }
    response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return { url: `http://127.0.0.1:${address.port}`, spans, metrics, services, attributes }
}

function spanOf(span: Uint8Array, service: string): ReceivedSpan {
  const [trace, id, parent, name] = [1, 2, 4, 5].map((field) => Buffer.from(lists(span, field)[0] ?? []))
  return {
    service,
    traceId: trace!.toString('hex'),
    spanId: id!.toString('hex'),
    parent: parent!.toString('hex'),
    name: name!.toString(),
    kind: number(span, 6),
  }
}

function attributesOf(resource: Uint8Array): Map<string, string> {
  const pairs = lists(lists(resource, 1)[0] ?? new Uint8Array(0), 1).map((attribute): [string, string] => {
    const [key, value] = [lists(attribute, 1)[0], lists(lists(attribute, 2)[0] ?? new Uint8Array(0), 1)[0]]
    return [Buffer.from(key ?? []).toString(), Buffer.from(value ?? []).toString()]
  })
  return new Map(pairs)
}

/** The values of a field of messages, bytes or text. */
function lists(message: Uint8Array, field: number): Uint8Array[] {
  const found: Uint8Array[] = []
  walk(message, (tag, reader) => {
    if (tag !== ((field << 3) | 2)) return false
    found.push(reader.bytes())
    return true
  })
  return found
}

function number(message: Uint8Array, field: number): number {
  let value = 0
  walk(message, (tag, reader) => {
    if (tag !== field << 3) return false
    value = reader.uint32()
    return true
  })
  return value
}

function walk(message: Uint8Array, take: (tag: number, reader: protobuf.Reader) => boolean): void {
  const reader = protobuf.Reader.create(message)
  while (reader.pos < reader.len) {
    const tag = reader.uint32()
    if (!take(tag, reader)) reader.skipType(tag & 7)
  }
}
