import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { otlpReceiver } from './otlp-receiver.js'
import { at, startDaemon } from './servers.js'
import { neve, ONE_LINE, temporaryFolder } from './support.js'

function smallTree(folder: string): string {
  const tree = join(folder, 'tree')
  mkdirSync(join(tree, 'below'), { recursive: true })
  writeFileSync(join(tree, 'hello'), 'Hello World!')
  writeFileSync(join(tree, 'below/more'), 'x'.repeat(5000))
  return tree
}

describe('telemetry', () => {
  test('one trace goes from the client through the daemon, in two processes', async () => {
    const receiver = await otlpReceiver()
    const folder = temporaryFolder()
    const telling = (service: string) => ({
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
      OTEL_SERVICE_NAME: service,
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment=test',
    })
    const socket = join(folder, 's.sock')
    const daemon = await startDaemon(
      ['-l', socket, '--store', join(folder, 'store')],
      telling('the-daemon'),
      'daemon',
    )
    const address = `grpc+unix:${socket}`
    const imported = await neve(
      ['import', smallTree(folder), ...at(address), '--path-info-service-addr', address],
      { env: telling('the-client') },
    )
    expect([imported.code, imported.stderr]).toEqual([0, ''])
    expect(imported.lines).toHaveLength(1)
    expect(await daemon.stop()).toBe(0)

    const root = receiver.spans.find(({ name }) => name === 'neve import')!
    expect(root).toMatchObject({ service: 'the-client', parent: '' })
    const put = 'snix.store.v1.PathInfoService/Put'
    const client = receiver.spans.find(({ name, kind }) => name === put && kind === 3)!
    const server = receiver.spans.find(({ name, kind }) => name === put && kind === 2)!
    expect(client).toMatchObject({ service: 'the-client', traceId: root.traceId })
    expect(server).toMatchObject({ service: 'the-daemon', traceId: root.traceId, parent: client.spanId })
    const stored = receiver.spans.find(
      ({ name, parent }) => name === 'path infos put' && parent === server.spanId,
    )
    expect(stored).toMatchObject({ service: 'the-daemon', traceId: root.traceId })
    expect(receiver.attributes.get('deployment.environment')).toBe('test')
    for (const name of [
      'rpc.client.duration',
      'rpc.server.duration',
      'neve.rpc.server.received',
      'neve.rpc.client.sent',
      'neve.store.operation.duration',
    ]) {
      expect(receiver.metrics).toContain(name)
    }
  })

  test('an upstream cache is told of the trace too', async () => {
    const receiver = await otlpReceiver()
    const seen: string[] = []
    const upstream = createServer((request, response) => {
      seen.push(String(request.headers['traceparent']))
      response.writeHead(404).end()
    })
    await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      upstream.close()
    })
    const { port } = upstream.address() as { port: number }
    const folder = temporaryFolder()
    await neve(['import', smallTree(folder), '--store', join(folder, 'store')])
    const listed = await neve(
      [
        'stat',
        '/nix/store/00000000000000000000000000000000-none',
        ...at(join(folder, 'store')),
        '--path-info-service-addr',
        `nix+http://127.0.0.1:${port}`,
      ],
      { env: { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${receiver.url}/v1/traces` } },
    )
    expect(listed.code).toBe(1)
    const request = receiver.spans.find(({ name, kind }) => name === 'GET' && kind === 3)!
    expect(seen).toContain(`00-${request.traceId}-${request.spanId}-01`)
    expect(request.traceId).toBe(receiver.spans.find(({ name }) => name === 'neve stat')!.traceId)
    expect(receiver.metrics.size).toBe(0)
  })

  test.each([
    ['nothing asks for it', {}],
    ['it is disabled', { OTEL_SDK_DISABLED: 'true' }],
    ['no exporter is wanted', { OTEL_TRACES_EXPORTER: 'none', OTEL_METRICS_EXPORTER: 'none' }],
  ])('tells nobody when %s', async (_, env) => {
    const receiver = await otlpReceiver()
    const folder = temporaryFolder()
    const endpoint = Object.keys(env).length === 0 ? {} : { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url }
    const imported = await neve(['import', smallTree(folder), '--store', join(folder, 'store')], {
      env: { ...endpoint, ...env },
    })
    expect(imported.code).toBe(0)
    expect(receiver.services.size).toBe(0)
  })

  test('what cannot be sent is told, and changes nothing else', async () => {
    const folder = temporaryFolder()
    const imported = await neve(['import', smallTree(folder), '--store', join(folder, 'store')], {
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', OTEL_EXPORTER_OTLP_TIMEOUT: '500' },
    })
    expect([imported.code, imported.lines.length]).toEqual([0, 1])
    expect(imported.stderr).toMatch(/^neve: warning: OpenTelemetry: /m)
  })

  test.each([
    [{ OTEL_TRACES_EXPORTER: 'console' }, 'OTEL_TRACES_EXPORTER: unknown exporter "console"'],
    [
      { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' },
      'OTEL_EXPORTER_OTLP_PROTOCOL: grpc is not spoken',
    ],
    [
      { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', OTEL_METRIC_EXPORT_INTERVAL: 'soon' },
      'OTEL_METRIC_EXPORT_INTERVAL: "soon" is no number of milliseconds',
    ],
  ])('refuses %j', async (env, message) => {
    const { code, stderr } = await neve(['import'], { env })
    expect(code).toBe(2)
    expect(stderr).toMatch(ONE_LINE)
    expect(stderr).toContain(message)
  })
})
