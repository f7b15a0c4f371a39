import type * as grpc from '@grpc/grpc-js'
import { B3Digest } from '@neve/castore-model'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { GrpcBlobService, openGrpcChannel } from '@neve/castore-services/grpc'
import { addHealth, BackendHealth, castoreServer } from '@neve/castore-services/grpc/server'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type TcpProxy, tcpProxy } from './faults/tcp-proxy.js'
import { methodsOf, standardClient } from './standard-peer.js'

const BLOBS = 'snix.castore.v1.BlobService'
const OTHER = 'snix.castore.v1.DirectoryService'

interface Health {
  Check(request: object, done: (error: grpc.ServiceError | null, answer: { status: string }) => void): void
  Watch(request: object): grpc.ClientReadableStream<{ status: string }>
}

/** A server whose blobs are on another server, and a client of its health. */
async function proxying({ stop, faults = {} }: { stop?: AbortSignal; faults?: TcpProxy['faults'] } = {}) {
  const memory = new MemoryBlobService()
  let behind = castoreServer({ blobs: memory })
  const { address } = await behind.listen('127.0.0.1:0')
  const proxy = await tcpProxy(Number(address.split(':')[1]))
  proxy.faults = faults
  const channel = await openGrpcChannel(`grpc+http://127.0.0.1:${proxy.port}`)
  const blobs = new GrpcBlobService(channel)
  const changes: string[] = []
  const away = new BackendHealth('blobs', (signal) => blobs.has(B3Digest.of(Buffer.from('?')), { signal }), {
    maxAge: 0,
    timeout: 500,
    onChange: (name, error) => changes.push(`${name} ${error === undefined ? 'well' : 'ill'}`),
  })
  const here = new BackendHealth('directories', async () => undefined)
  const services = new Map([
    [BLOBS, [away]],
    [OTHER, [here]],
  ])
  const front = castoreServer({ extend: (server) => addHealth(server, { services, stop, interval: 20 }) })
  const listener = await front.listen('127.0.0.1:0')
  const client = standardClient('grpc/health/v1/health.proto', 'grpc.health.v1.Health', listener.address)
  const health = methodsOf<Health>(client)
  onTestFinished(async () => {
    client.close()
    await front.close({ grace: 0 })
    await channel.close()
    await proxy[Symbol.asyncDispose]()
    await behind.close({ grace: 0 })
  })
  const check = (service: string) =>
    new Promise<string>((resolve) => {
      health.Check({ service }, (error, answer) => resolve(error === null ? answer.status : error.message))
    })
  /** What a watcher is told, one thing a call. */
  const watch = (service: string) => {
    const call = health.Watch({ service })
    call.on('error', () => {})
    onTestFinished(() => call.cancel())
    const told = call[Symbol.asyncIterator]() as AsyncIterator<{ status: string }>
    return async () => {
      const { done, value } = await told.next()
      return done === true ? 'over' : value.status
    }
  }
  return {
    check,
    watch,
    changes,
    goAway: () => behind.close({ grace: 0 }),
    comeBack: async () => {
      behind = castoreServer({ blobs: memory })
      await behind.listen(address)
    },
  }
}

describe('health', () => {
  test('08#6 says SERVING, and NOT_SERVING while a backend is away', async () => {
    const { check, watch, changes, goAway, comeBack } = await proxying()
    const [everything, blobs, other] = [watch(''), watch(BLOBS), watch(OTHER)]
    expect([await everything(), await blobs(), await other()]).toEqual(['SERVING', 'SERVING', 'SERVING'])
    expect(await Promise.all(['', BLOBS, OTHER].map(check))).toEqual(['SERVING', 'SERVING', 'SERVING'])
    await goAway()
    expect([await everything(), await blobs()]).toEqual(['NOT_SERVING', 'NOT_SERVING'])
    expect(await Promise.all(['', BLOBS, OTHER].map(check))).toEqual([
      'NOT_SERVING',
      'NOT_SERVING',
      'SERVING',
    ])
    await comeBack()
    expect([await everything(), await blobs()]).toEqual(['SERVING', 'SERVING'])
    expect(await Promise.all(['', BLOBS].map(check))).toEqual(['SERVING', 'SERVING'])
    expect(changes).toEqual(['blobs ill', 'blobs well'])
  })

  test('a backend that says nothing is NOT_SERVING after the time-out', async () => {
    const { check } = await proxying({ faults: { down: { kind: 'stall', after: 0 } } })
    expect(await check(BLOBS)).toBe('NOT_SERVING')
  })

  test('does not know services that are not here', async () => {
    const { check, watch } = await proxying()
    expect(await check('no.such.Service')).toBe('5 NOT_FOUND: there is no service no.such.Service')
    expect(await watch('no.such.Service')()).toBe('SERVICE_UNKNOWN')
  })

  test('tells watchers when the server stops, and lets them go', async () => {
    const stop = new AbortController()
    const { check, watch } = await proxying({ stop: stop.signal })
    const told = watch(OTHER)
    expect(await told()).toBe('SERVING')
    stop.abort()
    expect([await told(), await told()]).toEqual(['NOT_SERVING', 'over'])
    expect(await check('')).toBe('NOT_SERVING')
  })
})

describe('probes of a backend', () => {
  test('are shared by all who ask, and hold for a while', async () => {
    let probes = 0
    const probe = async () => {
      probes += 1
    }
    const held = new BackendHealth('x', probe, { maxAge: 60_000 })
    await Promise.all(Array.from({ length: 100 }, () => held.healthy()))
    expect([await held.healthy(), probes]).toEqual([true, 1])
  })

  test('are not piled up on a backend that does not even hear that they are cancelled', async () => {
    let asked = 0
    let answer = (): void => {}
    const probe = () => {
      asked += 1
      return new Promise<void>((resolve) => {
        answer = resolve
      })
    }
    const dead = new BackendHealth('x', probe, { maxAge: -1, timeout: 5 })
    expect([await dead.healthy(), await dead.healthy(), await dead.healthy(), asked]).toEqual([
      false,
      false,
      false,
      1,
    ])
    answer()
    await new Promise(setImmediate)
    const again = dead.healthy()
    expect(asked).toBe(2)
    answer()
    expect(await again).toBe(true)
  })
})
