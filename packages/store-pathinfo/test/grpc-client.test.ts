import { createServer } from 'node:net'
import { join } from 'node:path'
import * as grpc from '@grpc/grpc-js'
import { openGrpcChannel } from '@neve/castore-services/grpc'
import { castoreServer } from '@neve/castore-services/grpc/server'
import { calculateNar, encodePathInfo, MemoryPathInfoService, type PathInfo } from '@neve/store-pathinfo'
import { pathInfoOf, randomPathInfo } from '@neve/store-pathinfo/contract'
import { GrpcPathInfoService } from '@neve/store-pathinfo/grpc'
import { addPathInfoService } from '@neve/store-pathinfo/grpc/server'
import { describe, expect, it } from 'vitest'
import { type Generation, grpcPair, strangersPathInfoService, strangersServer } from './grpc-fixture.js'
import { failureOf, memoryServices, temporaryFolder, toHex } from './support.js'

const info = randomPathInfo(6)
const { digest } = info.storePath
type Unary = grpc.handleUnaryCall<Record<string, unknown>, Record<string, unknown>>
const answering =
  (answer: () => Record<string, unknown> | Partial<grpc.StatusObject>): Unary =>
  (_call, callback) => {
    const given = answer()
    if ('code' in given) callback(given as Partial<grpc.StatusObject>)
    else callback(null, given as Record<string, unknown>)
  }

/** A path info as the stranger's library has it. */
function strangersMessage(generation: Generation, of: PathInfo): Record<string, unknown> {
  const { Put } = strangersPathInfoService(generation).service as unknown as {
    Put: { requestDeserialize(bytes: Buffer): Record<string, unknown> }
  }
  return Put.requestDeserialize(Buffer.from(encodePathInfo(of)))
}

describe.each<Generation>(['snix', 'tvix'])('a server of a stranger, %s', (generation) => {
  it('is understood: Get, Put, List, CalculateNAR', async () => {
    const stored = new Map<string, Record<string, unknown>>()
    const key = (bytes: unknown) => Buffer.from(bytes as Uint8Array).toString('hex')
    await using pair = await strangersServer(generation, {
      Get: ((call, callback) => {
        const found = stored.get(key(call.request['by_output_hash']))
        if (found === undefined) callback({ code: grpc.status.NOT_FOUND, details: 'none' })
        else callback(null, found)
      }) as Unary,
      Put: ((call, callback) => {
        stored.set(toHex(digest), call.request)
        callback(null, call.request)
      }) as Unary,
      CalculateNAR: answering(() => ({ nar_size: '18446744073709551615', nar_sha256: info.narSha256 })),
      List: ((call) => {
        for (const each of stored.values()) call.write(each)
        call.end()
      }) as grpc.handleServerStreamingCall<unknown, unknown>,
    })
    const service = new GrpcPathInfoService(pair.channel)
    expect(await service.get(digest)).toBeUndefined()
    expect(await service.put(info)).toEqual(info)
    expect(await service.get(digest)).toEqual(info)
    expect(await service.has(digest)).toBe(true)
    for await (const listed of service.list()) expect(listed).toEqual(info)
    const measure = { narSize: 2n ** 64n - 1n, narSha256: info.narSha256 }
    expect(await service.narCalculation.calculateNar(info.node)).toEqual(measure)
  })

  it('what it sends is not believed', async () => {
    let message = strangersMessage(generation, info)
    let measure: Record<string, unknown> = { nar_size: '1', nar_sha256: new Uint8Array(31) }
    await using pair = await strangersServer(generation, {
      Get: answering(() => message),
      Put: answering(() => message),
      CalculateNAR: answering(() => measure),
      List: ((call) => {
        call.write(message)
        call.end()
      }) as grpc.handleServerStreamingCall<unknown, unknown>,
    })
    const service = new GrpcPathInfoService(pair.channel)
    const list = async () => {
      for await (const _info of service.list());
    }
    const loss = { code: 'data-loss' }
    // Another one than was asked for.
    await expect(service.get(randomPathInfo(7).storePath.digest)).rejects.toMatchObject(loss)
    await expect(service.put(randomPathInfo(7))).rejects.toMatchObject(loss)
    await expect(service.put({ ...info, narSha256: new Uint8Array(32) })).rejects.toMatchObject(loss)
    for (const bad of [
      {},
      { ...message, narinfo: null },
      { ...message, references: [new Uint8Array(19)] },
      { ...message, references: [] },
      { ...message, narinfo: { ...(message['narinfo'] as object), nar_sha256: new Uint8Array(2) } },
    ]) {
      message = bad
      expect(await failureOf(() => service.get(digest))).toMatchObject(loss)
      expect(await failureOf(() => service.put(info))).toMatchObject(loss)
      const error = await failureOf(list)
      expect(error).toMatchObject({ ...loss, cause: { code: 'invalid-path-info' } })
      expect(error.message).toContain('127.0.0.1')
    }
    await expect(service.narCalculation.calculateNar(info.node)).rejects.toMatchObject(loss)
    measure = { nar_size: '1', nar_sha256: new Uint8Array(32) }
    expect(await service.narCalculation.calculateNar(info.node)).toMatchObject({ narSize: 1n })
  })

  it.each([
    [grpc.status.ALREADY_EXISTS, 'already-exists'],
    [grpc.status.FAILED_PRECONDITION, 'contents-missing'],
    [grpc.status.PERMISSION_DENIED, 'unsupported'],
    [grpc.status.UNIMPLEMENTED, 'unsupported'],
    [grpc.status.DATA_LOSS, 'data-loss'],
    [grpc.status.INVALID_ARGUMENT, 'invalid-request'],
    [grpc.status.UNKNOWN, 'storage'],
    [grpc.status.RESOURCE_EXHAUSTED, 'unavailable'],
  ])('status %i is %s', async (code, expected) => {
    await using pair = await strangersServer(generation, {
      Get: answering(() => ({ code, details: 'so it is' })),
      Put: answering(() => ({ code, details: 'so it is' })),
      CalculateNAR: answering(() => ({ code: grpc.status.NOT_FOUND, details: 'no such blob' })),
      List: ((call) => {
        call.emit('error', { code, details: 'so it is' })
      }) as grpc.handleServerStreamingCall<unknown, unknown>,
    })
    const service = new GrpcPathInfoService(pair.channel)
    for (const doing of [() => service.get(digest), () => service.put(info)]) {
      const error = await failureOf(doing)
      expect(error).toMatchObject({ code: expected })
      // Of two names that are not there, the first one is told of.
      if (code !== grpc.status.UNIMPLEMENTED) expect(error.message).toContain('so it is')
    }
    const error = await failureOf(() => service.narCalculation.calculateNar(info.node))
    expect(error).toMatchObject({ code: 'contents-missing' })
  })

  it('a message that is larger than any is not taken', async () => {
    const message = strangersMessage(generation, info)
    const references = Array.from({ length: 900_000 }, () => new Uint8Array(20))
    await using pair = await strangersServer(generation, {
      Get: answering(() => ({ ...message, references })),
      Put: answering(() => ({})),
      CalculateNAR: answering(() => ({})),
      List: (() => {}) as grpc.handleServerStreamingCall<unknown, unknown>,
    })
    const error = await failureOf(() => new GrpcPathInfoService(pair.channel).get(digest))
    expect(error).toMatchObject({ code: 'too-large' })
  })

  it('a list that breaks off is an error after what came', async () => {
    await using pair = await strangersServer(generation, {
      Get: answering(() => ({})),
      Put: answering(() => ({})),
      CalculateNAR: answering(() => ({})),
      List: ((call) => {
        call.write(strangersMessage(generation, info))
        call.emit('error', { code: grpc.status.INTERNAL, details: 'disk on fire' })
      }) as grpc.handleServerStreamingCall<unknown, unknown>,
    })
    const seen: PathInfo[] = []
    const error = await failureOf(async () => {
      for await (const each of new GrpcPathInfoService(pair.channel).list()) seen.push(each)
    })
    expect(seen).toEqual([info])
    expect(error.message).toContain('disk on fire')
  })
})

it('an older server that wants a name for CalculateNAR gets one', async () => {
  const names: string[] = []
  await using pair = await strangersServer('tvix', {
    Get: answering(() => ({ code: grpc.status.NOT_FOUND, details: '' })),
    Put: answering(() => ({})),
    List: (() => {}) as grpc.handleServerStreamingCall<unknown, unknown>,
    CalculateNAR: ((call, callback) => {
      const { name } = call.request['symlink'] as { name?: Buffer }
      names.push(name?.toString() ?? '')
      if (name === undefined) callback({ code: grpc.status.INVALID_ARGUMENT, details: 'invalid name' })
      else callback(null, { nar_size: '1', nar_sha256: new Uint8Array(32) })
    }) as Unary,
  })
  const service = new GrpcPathInfoService(pair.channel)
  const { node } = pathInfoOf('00000000000000000000000000000000-dummy')
  expect((await service.narCalculation.calculateNar(node)).narSize).toBe(1n)
  expect(names).toEqual(['', 'nar'])
})

it('our server measures what it has, for our client', async () => {
  const contents = memoryServices()
  await using pair = await grpcPair(new MemoryPathInfoService(), { contents })
  const { narCalculation } = new GrpcPathInfoService(pair.channel)
  const content = new TextEncoder().encode('Hello World!')
  const node = {
    kind: 'file',
    digest: await contents.blobs.put(content),
    size: 12n,
    executable: false,
  } as const
  expect(await narCalculation.calculateNar(node)).toEqual(await calculateNar(contents, node))
  const absent = {
    ...node,
    digest: info.node.kind === 'directory' ? info.node.digest : node.digest,
    size: 1n,
  }
  await expect(narCalculation.calculateNar({ ...absent, kind: 'directory' })).rejects.toMatchObject({
    code: 'contents-missing',
  })
})

it('07#26 a client that was there before its server', async () => {
  const path = join(temporaryFolder(), 'socket')
  await using channel = await openGrpcChannel(`grpc+unix:${path}`)
  const service = new GrpcPathInfoService(channel)
  await using server = castoreServer({ extend: (to) => addPathInfoService(to, new MemoryPathInfoService()) })
  await server.listen(path)
  expect(await service.get(digest)).toBeUndefined()
})

it('07#28 connecting at once fails when nobody is there', async () => {
  const path = join(temporaryFolder(), 'socket')
  for (const url of [`grpc+unix:${path}`, 'grpc+http://nonexist.invalid']) {
    await expect(openGrpcChannel(`${url}?wait-connect=1`)).rejects.toMatchObject({ code: 'unavailable' })
    await using channel = await openGrpcChannel(`${url}?wait-connect=0`)
    expect(channel.closed).toBe(false)
  }
})

it('a server that says nothing is given up', async () => {
  const silent = createServer((socket) => socket.on('error', () => {}))
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const { port } = silent.address() as { port: number }
  await using channel = await openGrpcChannel(`grpc+http://127.0.0.1:${port}`, { timeout: 200 })
  const service = new GrpcPathInfoService(channel)
  await expect(service.get(digest)).rejects.toMatchObject({ code: 'unavailable' })
  silent.close()
})
