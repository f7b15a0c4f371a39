import { B3Digest, equalNodes, Path } from '@neve/castore-model'
import { type DirectoryService, descend } from '@neve/castore-services'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { beforeEach, describe, expect, it } from 'vitest'
import { COMPLICATED, directoryOf, upload, WITH_KEEP } from '../src/contract/directory-fixtures.js'

describe('descend', () => {
  let directories: DirectoryService
  const root = COMPLICATED.toNode()

  beforeEach(async () => {
    directories = new MemoryDirectoryService()
    await upload(directories, WITH_KEEP, COMPLICATED)
  })

  it.each([
    ['03#41', '', root],
    ['03#42', 'keep', WITH_KEEP.toNode()],
    ['03#43', 'keep/.keep', { kind: 'file', digest: B3Digest.EMPTY, size: 0n, executable: false } as const],
    ['03#44', 'void', undefined],
    ['03#45', 'v/oid', undefined],
    ['03#46', 'keep/.keep/foo', undefined],
    ['symlinks are not followed', 'aa/nix', undefined],
  ])('%s %j', async (_name, path, expected) => {
    for (const form of [path, Path.parse(path)]) {
      const found = await descend(directories, root, form)
      if (expected === undefined) expect(found).toBeUndefined()
      else expect(found !== undefined && equalNodes(found, expected)).toBe(true)
    }
  })

  it('looks nothing up for the empty path, and one directory a level otherwise', async () => {
    let lookups = 0
    const counting: Pick<DirectoryService, 'get'> = {
      get: (digest, options) => {
        lookups += 1
        return directories.get(digest, options)
      },
    }
    expect(await descend(counting, root, '')).toBe(root)
    expect(lookups).toBe(0)
    await descend(counting, root, 'keep/.keep/foo')
    expect(lookups).toBe(2)
  })

  it('fails where a directory on the way is not stored', async () => {
    const gone = directoryOf({ gone: directoryOf({ never: WITH_KEEP.toNode() }).toNode() })
    await directories.put(gone)
    await expect(descend(directories, gone.toNode(), 'gone/x')).rejects.toMatchObject({ code: 'data-loss' })
    expect(await descend(directories, gone.toNode(), 'gone')).toMatchObject({ kind: 'directory' })
  })

  it.each(['/keep', 'keep/', 'keep//.keep', '.', '../keep', 'ke\0ep'])(
    'refuses the path %j',
    async (path) => {
      await expect(descend(directories, root, path)).rejects.toMatchObject({ code: 'INVALID_PATH' })
    },
  )

  it('rejects with the reason when it is cancelled', async () => {
    const reason = new Error('enough')
    await expect(descend(directories, root, 'keep', { signal: AbortSignal.abort(reason) })).rejects.toBe(
      reason,
    )
  })
})
