import { B3Digest, equalNodes, type Node, Path, SymlinkTarget } from '@neve/castore-model'
import { type DirectoryPutter, type DirectoryService, RootToLeaves } from '@neve/castore-services'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { IngestError, type IngestionEntry, ingestEntries } from '@neve/castore-services/ingest'
import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { A, COMPLICATED, closureOf, WITH_KEEP } from '../src/contract/directory-fixtures.js'
import { settled } from './deferred.js'

const DUMMY = B3Digest.from(new Uint8Array(32))
const text = new TextEncoder()

const regular = (path: string, size = 0n, executable = false, digest = B3Digest.EMPTY): IngestionEntry => ({
  kind: 'regular',
  path: Path.parse(path),
  size,
  executable,
  digest,
})
const symlink = (path: string, target: string | Uint8Array): IngestionEntry => ({
  kind: 'symlink',
  path: Path.parse(path),
  target: typeof target === 'string' ? text.encode(target) : target,
})
const dir = (path: string): IngestionEntry => ({ kind: 'dir', path: Path.parse(path) })

/** A stream of entries that tells how far it was read and whether it was closed. */
function streamOf(entries: readonly IngestionEntry[], failure?: Error) {
  const state = { given: 0, closed: false }
  async function* generate() {
    try {
      for (const entry of entries) {
        state.given += 1
        yield entry
      }
      if (failure) throw failure
    } finally {
      state.closed = true
    }
  }
  return { state, stream: generate() }
}

describe('ingestEntries', () => {
  let directories: DirectoryService
  const ingest = (entries: readonly IngestionEntry[]) => ingestEntries(directories, streamOf(entries).stream)

  beforeEach(() => {
    directories = new MemoryDirectoryService()
  })

  it.each<[string, readonly IngestionEntry[], Node]>([
    [
      '06#ING-1 a file',
      [regular('foo', 42n, true, DUMMY)],
      { kind: 'file', digest: DUMMY, size: 42n, executable: true },
    ],
    ['06#ING-2 a symlink', [symlink('foo', 'blub')], { kind: 'symlink', target: SymlinkTarget.from('blub') }],
    ['06#ING-3 an empty directory', [dir('foo')], A.toNode()],
    ['06#ING-4 a directory', [regular('foo/.keep'), dir('foo')], WITH_KEEP.toNode()],
    [
      '06#ING-5 a tree in any order that is allowed',
      [
        regular('blub/.keep'),
        regular('blub/keep/.keep'),
        dir('blub/keep'),
        symlink('blub/aa', '/nix/store/somewhereelse'),
        dir('blub'),
      ],
      COMPLICATED.toNode(),
    ],
  ])('%s', async (_name, entries, expected) => {
    const { stream, state } = streamOf(entries)
    const root = await ingestEntries(directories, stream)
    expect(equalNodes(root, expected)).toBe(true)
    expect(state.closed).toBe(true)
    if (root.kind === 'directory')
      expect((await closureOf(directories, root.digest)).length).toBeGreaterThan(0)
  })

  it.each<[string, readonly IngestionEntry[], string, string | undefined]>([
    ['06#ING-6 an empty stream', [], 'unexpected-end-of-stream', undefined],
    ['06#ING-7 no entry for the root', [regular('blub/.keep')], 'unexpected-end-of-stream', undefined],
    [
      '06#ING-8 a child after its parent',
      [dir('blub'), regular('blub/.keep')],
      'trailing-entries',
      'blub/.keep',
    ],
    ['06#ING-9 an entry after the root', [regular('.keep'), dir('')], 'trailing-entries', ''],
    ['the empty path', [dir('')], 'root-path-entry', ''],
    ['a directory without an entry', [regular('a/b/c'), dir('a')], 'orphaned-directories', undefined],
    [
      'a child after its directory',
      [dir('a/b'), regular('a/b/c'), dir('a')],
      'orphaned-directories',
      undefined,
    ],
    ['a link to nowhere', [symlink('a', '')], 'upload-directory', 'a'],
    ['a link of 4096 bytes', [symlink('a', 'x'.repeat(4096))], 'upload-directory', 'a'],
    ['a link with a null byte', [symlink('a', 'x\0')], 'upload-directory', 'a'],
    ['a file twice', [regular('a/b'), regular('a/b'), dir('a')], 'upload-directory', 'a/b'],
    ['a file and a directory', [regular('a/b'), dir('a/b'), dir('a')], 'upload-directory', 'a/b'],
    ['a directory twice', [dir('a/b'), dir('a/b'), dir('a')], 'upload-directory', 'a/b'],
    ['a directory and a symlink', [dir('a/b'), symlink('a/b', 'x'), dir('a')], 'upload-directory', 'a/b'],
    ['an impossible size', [regular('a/b', 2n ** 64n), dir('a')], 'upload-directory', 'a/b'],
  ])('refuses %s', async (_name, entries, code, path) => {
    const { stream, state } = streamOf([...entries])
    const error = await ingestEntries(directories, stream).then(
      () => undefined,
      (failure: unknown) => failure,
    )
    expect(error).toBeInstanceOf(IngestError)
    expect(error).toMatchObject({ code })
    expect((error as IngestError).path?.toString()).toBe(path)
    expect(state.closed).toBe(true)
    expect(await directories.get(A.digest())).toBeUndefined()
  })

  it('names the directories that never got an entry', async () => {
    await expect(ingest([regular('a/b/c'), regular('a/d/e'), dir('a')])).rejects.toMatchObject({
      message: "expected an entry for each directory, got none for 'a/b', 'a/d'",
    })
  })

  it('keeps the cause of what is refused', async () => {
    await expect(ingest([symlink('a', '')])).rejects.toMatchObject({
      cause: { code: 'INVALID_SYMLINK_TARGET' },
    })
    await expect(ingest([dir('a/b'), dir('a/b'), dir('a')])).rejects.toMatchObject({
      cause: { code: 'DIRECTORY_DUPLICATE_NAME' },
    })
  })

  it('stops at the first entry after the root, and closes the stream', async () => {
    const { stream, state } = streamOf([dir('a'), regular('b'), regular('c'), regular('d')])
    await expect(ingestEntries(directories, stream)).rejects.toMatchObject({ code: 'trailing-entries' })
    expect(state).toEqual({ given: 2, closed: true })
  })

  it('wraps what the producer throws, and stores nothing', async () => {
    const failure = new Error('the disk is gone')
    const { stream } = streamOf([dir('a/b')], failure)
    await expect(ingestEntries(directories, stream)).rejects.toMatchObject({
      code: 'producer',
      cause: failure,
    })
    expect(await directories.get(A.digest())).toBeUndefined()
  })

  it('counts sizes as it is told', async () => {
    const entries = [
      regular('r/.keep'),
      regular('r/keep/.keep'),
      dir('r/keep'),
      symlink('r/aa', '/nix/store/somewhereelse'),
      dir('r'),
    ]
    const root = await ingestEntries(directories, streamOf(entries).stream, { directorySizes: 'twice' })
    expect(root).toMatchObject({ kind: 'directory', size: 8n })
    expect(root.kind === 'directory' && root.digest.toHex()).toBe(
      '424a7f6ce08d805d15b428062faae96299a1675d708c3a39261afe38cdd04feb',
    )
    expect(await closureOf(directories, (root as { digest: B3Digest }).digest)).toHaveLength(2)
  })

  it('starts no upload for a root that is no directory', async () => {
    const untouched = {
      putMultipleStart: (): DirectoryPutter => {
        throw new Error('not to be called')
      },
    }
    expect(await ingestEntries(untouched, streamOf([regular('a')]).stream)).toMatchObject({ kind: 'file' })
  })

  it('gives the same root for any order of siblings and any interleaving', async () => {
    const files = ['r/a', 'r/b/x', 'r/b/y', 'r/b/c/z', 'r/d/e/f', 'r/\u00e9']
    const folders = ['r/b/c', 'r/b', 'r/d/e', 'r/d', 'r/g']
    const expected = await ingest([...files.map((path) => regular(path)), ...folders.map(dir), dir('r')])
    await fc.assert(
      fc.asyncProperty(
        fc.shuffledSubarray([...files, ...folders], { minLength: 11, maxLength: 11 }),
        async (paths) => {
          // A stable sort by depth puts children before their directories and leaves the rest as it fell.
          const ordered = paths
            .map((path) => (files.includes(path) ? regular(path) : dir(path)))
            .sort((one, other) => other.path.components.length - one.path.components.length)
          expect(equalNodes(await ingest([...ordered, dir('r')]), expected)).toBe(true)
        },
      ),
      { numRuns: 50 },
    )
  })

  it('puts children before their parents', async () => {
    const root = await ingest([regular('r/a/b/c/d'), dir('r/a/b/c'), dir('r/a/b'), dir('r/a'), dir('r')])
    const order = new RootToLeaves((root as { digest: B3Digest }).digest)
    const closure = await closureOf(directories, (root as { digest: B3Digest }).digest)
    expect(closure.map((directory) => order.add(directory))).toEqual([true, true, true, true])
  })

  it('does not believe a service that gives another root', async () => {
    const lying = {
      putMultipleStart: () => {
        const putter = directories.putMultipleStart()
        return {
          put: (...args: Parameters<DirectoryPutter['put']>) => putter.put(...args),
          close: async () => DUMMY,
          abort: () => putter.abort(),
          [Symbol.asyncDispose]: () => putter.abort(),
        }
      },
    }
    await expect(ingestEntries(lying, streamOf([dir('a')]).stream)).rejects.toMatchObject({
      code: 'root-digest-mismatch',
      expected: A.digest(),
      actual: DUMMY,
    })
  })

  it('says whether putting or finishing failed', async () => {
    const failure = new Error('the disk is full')
    const failingAt = (step: 'put' | 'close') => ({
      putMultipleStart: () => {
        const putter = directories.putMultipleStart()
        return {
          put:
            step === 'put' ? () => Promise.reject(failure) : (directory: typeof A) => putter.put(directory),
          close: () => Promise.reject(failure),
          abort: () => putter.abort(),
          [Symbol.asyncDispose]: () => putter.abort(),
        }
      },
    })
    await expect(ingestEntries(failingAt('put'), streamOf([dir('a')]).stream)).rejects.toMatchObject({
      code: 'upload-directory',
      cause: failure,
    })
    await expect(ingestEntries(failingAt('close'), streamOf([dir('a')]).stream)).rejects.toMatchObject({
      code: 'finalize-directory-upload',
      cause: failure,
    })
  })

  it('rejects with the reason when it is cancelled, even if the producer is stuck', async () => {
    const controller = new AbortController()
    const reason = new Error('enough')
    async function* stuck() {
      yield dir('a/b')
      await new Promise(() => {})
    }
    const ingesting = ingestEntries(directories, stuck(), { signal: controller.signal })
    await settled()
    controller.abort(reason)
    await expect(ingesting).rejects.toBe(reason)
    expect(await directories.get(A.digest())).toBeUndefined()
    const { stream, state } = streamOf([dir('a')])
    await expect(ingestEntries(directories, stream, { signal: controller.signal })).rejects.toBe(reason)
    expect(state.given).toBe(0)
  })
})
