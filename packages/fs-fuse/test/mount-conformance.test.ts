import type { Node } from '@neve/castore-model'
import { describe, expect, it } from 'vitest'
import {
  BLOB_A,
  BLOB_A_NAME,
  BLOB_B,
  BLOB_B_NAME,
  DIRECTORY_COMPLICATED,
  DIRECTORY_COMPLICATED_NAME,
  DIRECTORY_WITH_KEEP,
  DIRECTORY_WITH_KEEP_NAME,
  HELLOWORLD_BLOB,
  HELLOWORLD_BLOB_NAME,
  ROOTS,
  SYMLINK_NAME,
  SYMLINK_NAME2,
} from './fixtures.js'
import {
  cannotMount,
  FixtureMount,
  type MountSpec,
  type Outcome,
  ordinaryObstacle,
  users,
} from './mount/fixture-mount.js'

const CONTENTS = {
  blobs: [BLOB_A, BLOB_B, HELLOWORLD_BLOB],
  directories: [DIRECTORY_WITH_KEEP, DIRECTORY_COMPLICATED],
}
const EMPTY_READ = { length: 0, hex: '' }

function rootsNamed(...names: (keyof typeof ROOTS)[]): Record<string, Node> {
  return Object.fromEntries(names.map((name) => [name, ROOTS[name]]))
}

if (ordinaryObstacle !== undefined) it.skip(`mounted by an ordinary user: ${ordinaryObstacle}`, () => {})

describe.skipIf(cannotMount).each(users)('spec 05 section 9.1, mounted by $name', (user) => {
  /** Looks at a mount of some of the fixtures, and unmounts it, which must succeed. */
  async function looking(
    names: (keyof typeof ROOTS)[],
    operations: (readonly [string, string, ...unknown[]])[],
    spec: MountSpec = {},
  ): Promise<Outcome[]> {
    const mount = await FixtureMount.open(user, { ...CONTENTS, roots: rootsNamed(...names), ...spec })
    const outcomes = await mount.look(...operations)
    await mount.unmount()
    return outcomes
  }

  it('05#1 mounts and unmounts', async () => {
    expect(await looking([], [])).toEqual([])
  })

  it('05#2 does not let the root be listed unless asked to', async () => {
    expect(await looking([], [['openListing', '']])).toEqual([{ error: 'EPERM' }])
  })

  it('05#3 lists the root when asked to', async () => {
    const outcomes = await looking(
      [BLOB_A_NAME],
      [
        ['listing', ''],
        ['stat', BLOB_A_NAME],
      ],
      { listRoot: true },
    )
    expect(outcomes[0]?.value).toEqual([[BLOB_A_NAME, 'file']])
    expect(outcomes[1]?.value).toMatchObject({ kind: 'file', permissions: 0o444, size: 2 })
  })

  it('05#4 05#5 tells of a file in the root, and reads it', async () => {
    const [status, content] = await looking(
      [BLOB_A_NAME],
      [
        ['stat', BLOB_A_NAME],
        ['read', BLOB_A_NAME],
      ],
    )
    expect(status?.value).toMatchObject({ kind: 'file', permissions: 0o444, size: 2 })
    expect(content?.value).toMatchObject({ hex: '0001' })
  })

  it('05#6 reads a large file', async () => {
    const { createHash } = await import('node:crypto')
    const [status, content] = await looking(
      [BLOB_B_NAME],
      [
        ['stat', BLOB_B_NAME],
        ['read', BLOB_B_NAME],
      ],
    )
    expect(status?.value).toMatchObject({ kind: 'file', permissions: 0o444, size: 1044480 })
    const sha256 = createHash('sha256').update(BLOB_B).digest('hex')
    expect(content?.value).toEqual({ length: 1044480, sha256 })
  })

  it('05#7 shows a symlink that leads nowhere', async () => {
    const [target, followed, itself, read] = await looking(
      [SYMLINK_NAME],
      [
        ['readlink', SYMLINK_NAME],
        ['stat', SYMLINK_NAME],
        ['lstat', SYMLINK_NAME],
        ['read', SYMLINK_NAME],
      ],
    )
    expect(target).toEqual({ value: BLOB_A_NAME })
    expect(followed).toEqual({ error: 'ENOENT' })
    expect(itself?.value).toMatchObject({ kind: 'symlink', size: BLOB_A_NAME.length })
    expect(read).toEqual({ error: 'ENOENT' })
  })

  it('05#8 follows a symlink', async () => {
    const [through, direct, readThrough, readDirect] = await looking(
      [BLOB_A_NAME, SYMLINK_NAME],
      [
        ['stat', SYMLINK_NAME],
        ['stat', BLOB_A_NAME],
        ['read', SYMLINK_NAME],
        ['read', BLOB_A_NAME],
      ],
    )
    expect(direct?.value).toMatchObject({ kind: 'file', size: 2 })
    expect(through).toEqual(direct)
    expect(readDirect?.value).toMatchObject({ hex: '0001' })
    expect(readThrough).toEqual(readDirect)
  })

  it('05#9 tells of a directory', async () => {
    const [status] = await looking([DIRECTORY_WITH_KEEP_NAME], [['stat', DIRECTORY_WITH_KEEP_NAME]])
    expect(status?.value).toMatchObject({ kind: 'directory', permissions: 0o555 })
  })

  it('05#10 shows digests as extended attributes', async () => {
    const outcomes = await looking(
      [DIRECTORY_WITH_KEEP_NAME, BLOB_A_NAME],
      [
        ['xattrs', DIRECTORY_WITH_KEEP_NAME],
        ['xattr', DIRECTORY_WITH_KEEP_NAME, 'user.tvix.castore.directory.digest'],
        ['xattr', DIRECTORY_WITH_KEEP_NAME, 'user.cheesecake'],
        ['xattrs', BLOB_A_NAME],
        ['xattr', BLOB_A_NAME, 'user.tvix.castore.blob.digest'],
        ['xattr', BLOB_A_NAME, 'user.cheesecake'],
      ],
      { showXattr: true, xattrPrefixes: ['tvix'] },
    )
    expect(outcomes).toEqual([
      { value: ['user.tvix.castore.directory.digest'] },
      { value: 'b3:i1tdZCtka7jtUEsIYsOUE+h+V0kUl9570HWVP3uDgQ4=' },
      { error: 'ENODATA' },
      { value: ['user.tvix.castore.blob.digest'] },
      { value: 'b3:e3AVu5LPCzGAN3AqbN2B3uQSJPc0aEwsEizWNZyx7mM=' },
      { error: 'ENODATA' },
    ])
  })

  it('05#11 05#12 reads files in directories', async () => {
    const shallow = `${DIRECTORY_WITH_KEEP_NAME}/.keep`
    const deep = `${DIRECTORY_COMPLICATED_NAME}/keep/.keep`
    const [first, firstRead, second, secondRead] = await looking(
      [DIRECTORY_WITH_KEEP_NAME, DIRECTORY_COMPLICATED_NAME],
      [
        ['stat', shallow],
        ['read', shallow],
        ['stat', deep],
        ['read', deep],
      ],
    )
    for (const status of [first, second]) {
      expect(status?.value).toMatchObject({ kind: 'file', permissions: 0o444, size: 0 })
    }
    for (const read of [firstRead, secondRead]) expect(read?.value).toMatchObject(EMPTY_READ)
  })

  it('05#13 lists a directory in the order of its names', async () => {
    const [listing] = await looking([DIRECTORY_COMPLICATED_NAME], [['listing', DIRECTORY_COMPLICATED_NAME]])
    expect(listing?.value).toEqual([
      ['.keep', 'file'],
      ['aa', 'symlink'],
      ['keep', 'directory'],
    ])
  })

  it('05#14 lists a directory below one that nobody looked at', async () => {
    const [listing] = await looking(
      [DIRECTORY_COMPLICATED_NAME],
      [['listing', `${DIRECTORY_COMPLICATED_NAME}/keep`]],
    )
    expect(listing?.value).toEqual([['.keep', 'file']])
  })

  it('05#15 gives everything its attributes', async () => {
    const outcomes = await looking(
      [BLOB_A_NAME, HELLOWORLD_BLOB_NAME, DIRECTORY_WITH_KEEP_NAME, SYMLINK_NAME],
      [
        ['lstat', BLOB_A_NAME],
        ['lstat', HELLOWORLD_BLOB_NAME],
        ['lstat', DIRECTORY_WITH_KEEP_NAME],
        ['lstat', SYMLINK_NAME],
      ],
    )
    const common = { uid: 0, gid: 0, times: [0, 0, 0] }
    expect(outcomes.map(({ value }) => value)).toMatchObject([
      { ...common, permissions: 0o444, size: 2, nlink: 1 },
      { ...common, permissions: 0o555, size: 12, nlink: 1 },
      { ...common, permissions: 0o555, size: 1, nlink: 2 },
      { ...common, permissions: 0o444, size: BLOB_A_NAME.length, nlink: 1 },
    ])
  })

  it('05#16 05#17 05#18 gives equal contents the same inode number', async () => {
    const paths = [
      [DIRECTORY_WITH_KEEP_NAME, `${DIRECTORY_COMPLICATED_NAME}/keep`],
      [`${DIRECTORY_COMPLICATED_NAME}/.keep`, `${DIRECTORY_COMPLICATED_NAME}/keep/.keep`],
      [`${DIRECTORY_COMPLICATED_NAME}/aa`, SYMLINK_NAME2],
    ]
    const outcomes = await looking(
      [DIRECTORY_WITH_KEEP_NAME, DIRECTORY_COMPLICATED_NAME, SYMLINK_NAME2],
      paths.flat().map((path) => ['lstat', path] as const),
    )
    const numbers = outcomes.map(({ value }) => (value as { readonly ino: string }).ino)
    for (const pair of [0, 2, 4]) expect(numbers[pair + 1]).toBe(numbers[pair])
    expect(new Set(numbers).size).toBe(3)
  })

  it('05#19 finds nothing under wrong names, before and after the right one', async () => {
    const wrong = '00000000000000000000000000000000-tes'
    const outcomes = await looking(
      [BLOB_A_NAME],
      [
        ['stat', wrong],
        ['stat', '0000000000000000000000000000000-test'],
        ['stat', BLOB_A_NAME],
        ['stat', wrong],
      ],
    )
    expect(outcomes.map(({ error }) => error)).toEqual(['ENOENT', 'ENOENT', undefined, 'ENOENT'])
  })

  it('05#20 takes no writes', async () => {
    const existing = `${DIRECTORY_COMPLICATED_NAME}/.keep`
    const link = `${DIRECTORY_COMPLICATED_NAME}/aa`
    const fresh = `${DIRECTORY_COMPLICATED_NAME}/new`
    const writes: [string, string, ...unknown[]][] = [
      ['create', BLOB_A_NAME],
      ['create', fresh],
      ['mkdir', fresh],
      ['mknod', fresh],
      ['symlink', fresh],
      ['link', existing],
      ['rename', existing],
      ['unlink', existing],
      ['unlink', link],
      ['rmdir', `${DIRECTORY_COMPLICATED_NAME}/keep`],
      ['openFor', existing, 'O_WRONLY'],
      ['openFor', existing, 'O_RDWR'],
      ['openFor', existing, 'O_TRUNC'],
      ['truncate', existing],
      ['setxattr', existing],
      ['removexattr', existing],
      ['chmod', existing],
      ['chown', existing],
      ['utime', existing],
    ]
    const outcomes = await looking([DIRECTORY_COMPLICATED_NAME], writes, { showXattr: true })
    expect(outcomes.map(({ error }, index) => `${writes[index]?.[0]}: ${error}`)).toEqual(
      writes.map(([operation]) => `${operation}: EROFS`),
    )
  })

  it('05#21 fails with EIO when it looks into a directory that is missing', async () => {
    const outcomes = await looking(
      [DIRECTORY_WITH_KEEP_NAME],
      [
        ['stat', DIRECTORY_WITH_KEEP_NAME],
        ['openListing', DIRECTORY_WITH_KEEP_NAME],
        ['listing', DIRECTORY_WITH_KEEP_NAME],
        ['stat', `${DIRECTORY_WITH_KEEP_NAME}/.keep`],
      ],
      { directories: [] },
    )
    expect(outcomes.map(({ error }) => error)).toEqual([undefined, undefined, 'EIO', 'EIO'])
  })

  it('05#22 fails with EIO when it reads a blob that is missing', async () => {
    const outcomes = await looking(
      [BLOB_A_NAME],
      [
        ['stat', BLOB_A_NAME],
        ['openFor', BLOB_A_NAME, 'O_RDONLY'],
        ['read', BLOB_A_NAME],
      ],
      { blobs: [] },
    )
    expect(outcomes.map(({ error }) => error)).toEqual([undefined, 'EIO', 'EIO'])
  })
})
