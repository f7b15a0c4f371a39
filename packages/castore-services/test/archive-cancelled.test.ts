import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { ingestArchive } from '@neve/castore-services/ingest/archive'
import { describe, expect, it } from 'vitest'
import { archive, failureOf, file, pieces } from './tar-builder.js'

describe('cancelling the ingestion of an archive', () => {
  const services = () => ({ blobs: new MemoryBlobService(), directories: new MemoryDirectoryService() })

  it('rejects with the reason: before it starts', async () => {
    const signal = AbortSignal.abort(new Error('never mind'))
    const error = await failureOf(ingestArchive(services(), pieces(archive(file('a/b'))), { signal }))
    expect(error.message).toBe('never mind')
  })

  it.each([
    ['between entries', archive(file('a/b', 'x')).subarray(0, 1024)],
    ['within a small file', archive(file('a/b', 'x'.repeat(5000))).subarray(0, 1024)],
    ['within a large file', archive(file('a/b', Buffer.alloc(3_000_000))).subarray(0, 2_000_000)],
    ['before the first byte', Buffer.alloc(0)],
  ])('rejects with the reason when the source is stuck: %s', async (_name, start) => {
    const controller = new AbortController()
    async function* stuck() {
      if (start.length > 0) yield start
      setImmediate(() => controller.abort(new Error('never mind')))
      await new Promise(() => {})
    }
    const error = await failureOf(ingestArchive(services(), stuck(), { signal: controller.signal }))
    expect(error.message).toBe('never mind')
  })

  it('stops uploads that are under way', async () => {
    const controller = new AbortController()
    let stopped = 0
    class Slow extends MemoryBlobService {
      override put(
        _content: Uint8Array,
        { signal }: { signal?: AbortSignal | undefined } = {},
      ): Promise<never> {
        return new Promise((_, reject) => {
          signal?.addEventListener('abort', () => {
            stopped++
            reject(signal.reason)
          })
          controller.abort(new Error('never mind'))
        })
      }
    }
    const { directories } = services()
    const error = await failureOf(
      ingestArchive({ blobs: new Slow(), directories }, pieces(archive(file('a/b', 'x'))), {
        signal: controller.signal,
      }),
    )
    expect(error.message).toBe('never mind')
    expect(stopped).toBe(1)
  })
})
