import { status } from '@grpc/grpc-js'
import { B3Digest, type Directory } from '@neve/castore-model'
import { GrpcDirectoryService, openGrpcChannel } from '@neve/castore-services/grpc'
import { describe, expect, it } from 'vitest'
import {
  A,
  B,
  C,
  COMPLICATED,
  closureOf,
  D,
  digestsOf,
  directoryOf,
  upload,
  WITH_KEEP,
} from '../src/contract/directory-fixtures.js'
import {
  decoded,
  type Generation,
  loadServices,
  type Message,
  type PeerInit,
  refuse,
  startPeer,
} from './grpc-peer.js'

const GENERATIONS: readonly Generation[] = ['snix', 'tvix']
const SERVICES = loadServices('snix')

async function connected(init: Partial<PeerInit>) {
  const peer = await startPeer({ generation: 'snix', ...init })
  const channel = await openGrpcChannel(peer.url)
  const close = async () => {
    await channel.close()
    await peer.close()
  }
  return { peer, channel, directories: new GrpcDirectoryService(channel), [Symbol.asyncDispose]: close }
}

interface SendingCall {
  write(message: Message): unknown
  end(): unknown
  emit(event: string, error: object): unknown
}

/** A Get that sends these, whatever was asked for; then ends, or fails. */
function sending(directories: readonly Directory[], failure?: object): PeerInit['methods'] {
  const get = (call: SendingCall) => {
    for (const directory of directories) call.write(decoded(SERVICES, directory.encode()))
    if (failure === undefined) call.end()
    else call.emit('error', failure)
  }
  return { 'DirectoryService/Get': get }
}

interface ReceivingCall {
  on(event: string, listener: (message: Message) => void): unknown
}
type Answer = (error: object | null, value?: Message) => void

/** A Put that answers with a digest or a refusal, after the end. */
function answering(respond: (answer: Answer) => void): PeerInit['methods'] {
  const put = (call: ReceivingCall, answer: Answer) => {
    call.on('data', () => {})
    call.on('end', () => respond(answer))
  }
  return { 'DirectoryService/Put': put }
}

describe.each(GENERATIONS)('a client of directories, with a server of another make: %s', (generation) => {
  it('gets what is there, and finds out what is not', async () => {
    const stored = new Map([COMPLICATED, WITH_KEEP, A].map((dir) => [dir.digest().toHex(), dir.encode()]))
    await using setup = await connected({ generation, directories: stored })
    for (const directory of [COMPLICATED, WITH_KEEP, A]) {
      expect((await setup.directories.get(directory.digest()))?.equals(directory)).toBe(true)
    }
    expect(await setup.directories.get(B.digest())).toBeUndefined()
    expect(await closureOf(setup.directories, B.digest())).toEqual([])
  })

  it('uploads a closure', async () => {
    const put = answering((answer) => answer(null, { root_digest: COMPLICATED.digest().bytes }))
    await using setup = await connected({ generation, methods: put! })
    expect((await upload(setup.directories, WITH_KEEP, COMPLICATED)).equals(COMPLICATED.digest())).toBe(true)
    expect(setup.peer.calls.at(-1)).toBe(`${generation}.castore.v1.DirectoryService/Put`)
  })
})

describe('a client of directories', () => {
  it.each<[string, readonly Directory[], readonly Directory[]]>([
    ['root first', [D, B, A], [D, B, A]],
    ['children in another order', [D, A, B], [D, A, B]],
    ['repeats', [D, B, B, A, A, D, A], [D, B, A]],
  ])('takes a closure: %s', async (_name, sent, expected) => {
    await using setup = await connected({ methods: sending(sent)! })
    expect(digestsOf(await closureOf(setup.directories, D.digest()))).toEqual(digestsOf(expected))
  })

  it.each<[string, readonly Directory[], number, string]>([
    ['another root', [B], 0, 'received unexpected directory'],
    ['leaves first', [A, B, D], 0, 'received unexpected directory'],
    ['a directory that nobody asked for', [D, WITH_KEEP], 1, 'received unexpected directory'],
    ['nothing after the root', [D], 1, 'still expected 2 directories, but got premature end'],
    ['a missing leaf', [COMPLICATED], 1, 'still expected 1 directories, but got premature end'],
  ])('refuses a closure with %s, after what is good', async (_name, sent, good, message) => {
    await using setup = await connected({ methods: sending(sent)! })
    const root = sent[0] === COMPLICATED ? COMPLICATED : D
    const found: Directory[] = []
    const collect = async () => {
      for await (const directory of setup.directories.getRecursive(root.digest())) found.push(directory)
    }
    const error = await collect().catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'data-loss', message: expect.stringContaining(message) })
    expect(digestsOf(found)).toEqual(digestsOf(sent.slice(0, good)))
  })

  // WITH_KEEP has one entry: 1 byte once, 2 twice.
  it.each([
    [0n, false],
    [1n, true],
    [2n, true],
    [3n, false],
  ])('takes the sizes that either rule gives: %d', async (size, good) => {
    const root = directoryOf({ child: { ...WITH_KEEP.toNode(), size } })
    await using setup = await connected({ methods: sending([root, WITH_KEEP])! })
    const reading = closureOf(setup.directories, root.digest())
    if (good) expect(await reading).toHaveLength(2)
    else await expect(reading).rejects.toMatchObject({ code: 'data-loss' })
  })

  it('refuses bytes of another digest, and bytes that are no directory', async () => {
    await using setup = await connected({ methods: sending([WITH_KEEP])! })
    const getting = setup.directories.get(B.digest())
    await expect(getting).rejects.toMatchObject({ code: 'data-loss', digest: B.digest() })
    const unsorted = {
      files: [
        { name: Buffer.from('b'), digest: B3Digest.EMPTY.bytes },
        { name: Buffer.from('a'), digest: B3Digest.EMPTY.bytes },
      ],
    }
    const { Get } = SERVICES.DirectoryService.service
    const digest = B3Digest.of(Get!.responseSerialize(unsorted))
    await using other = await connected({
      methods: {
        'DirectoryService/Get': (call: SendingCall) => {
          call.write(unsorted as Message)
          call.end()
        },
      },
    })
    const error = await other.directories.get(digest).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'data-loss', message: expect.stringContaining('is not sorted') })
    await expect(closureOf(other.directories, digest)).rejects.toMatchObject({ code: 'data-loss' })
  })

  it('takes an end without a message for absent', async () => {
    await using setup = await connected({ methods: sending([])! })
    expect(await setup.directories.get(B.digest())).toBeUndefined()
    expect(await closureOf(setup.directories, B.digest())).toEqual([])
  })

  it('fails with what the server says half way', async () => {
    await using setup = await connected({ methods: sending([D], refuse(status.UNAVAILABLE, 'going down'))! })
    const error = await closureOf(setup.directories, D.digest()).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'unavailable', details: 'going down' })
  })

  it.each([
    [0, 'invalid root digest length 0'],
    [33, 'invalid root digest length 33'],
    [32, 'got unexpected digest'],
  ])('refuses an answer to Put with a wrong digest of %d bytes', async (length, message) => {
    const put = answering((answer) => answer(null, { root_digest: new Uint8Array(length) }))
    await using setup = await connected({ methods: put! })
    await expect(setup.directories.put(A)).rejects.toThrow(message)
    await expect(upload(setup.directories, A, C)).rejects.toThrow(message)
  })

  it.each([
    [status.INTERNAL, "'x' has wrong size, specified 3, recorded 5", 'twice'],
    [status.INVALID_ARGUMENT, "'x' has wrong size, specified 5, recorded 3", 'once'],
  ])('names the option when a server counts sizes otherwise', async (code, details, rule) => {
    const put = answering((answer) => answer(refuse(code, details)))
    await using setup = await connected({ methods: put! })
    for (const call of [() => setup.directories.put(A), () => upload(setup.directories, A, C)]) {
      const error = await call().catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ code: 'size' })
      expect(String(error)).toContain(details)
      expect(String(error)).toContain(`directorySizes: '${rule}' (--directory-sizes ${rule})`)
    }
  })

  it('03#40 tells at a later put what the server said while more was to come', async () => {
    const refusing = (_call: unknown, answer: Answer) => answer(refuse(status.RESOURCE_EXHAUSTED, 'enough'))
    await using setup = await connected({ methods: { 'DirectoryService/Put': refusing } })
    const putter = setup.directories.putMultipleStart()
    await putter.put(A)
    const puts = async () => {
      for (let index = 0; ; index++) await putter.put(directoryOf({ [`child ${index}`]: A.toNode() }))
    }
    await expect(puts()).rejects.toMatchObject({ details: 'enough' })
    await expect(putter.put(A)).rejects.toMatchObject({ details: 'enough' })
    await expect(putter.close()).rejects.toMatchObject({ details: 'enough' })
  })

  it('calls nobody for a putter that was not used', async () => {
    await using setup = await connected({})
    await setup.directories.putMultipleStart().abort()
    await using _unused = setup.directories.putMultipleStart()
    await expect(setup.directories.putMultipleStart().close()).rejects.toMatchObject({ code: 'empty' })
    expect(setup.peer.calls).toEqual([])
  })
})
