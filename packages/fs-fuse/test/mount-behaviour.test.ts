import { Directory, PathComponent, SymlinkTarget } from '@neve/castore-model'
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
  fileNode,
  HELLOWORLD_BLOB,
  ROOTS,
  SYMLINK_NAME,
} from './fixtures.js'
import { cannotMount, FixtureMount, type MountSpec, nodeText, users } from './mount/fixture-mount.js'

const ALL: MountSpec = {
  roots: ROOTS,
  blobs: [BLOB_A, BLOB_B, HELLOWORLD_BLOB],
  directories: [DIRECTORY_WITH_KEEP, DIRECTORY_COMPLICATED],
  listRoot: true,
}
const XATTR = 'user.neve.castore.blob.digest'

describe.skipIf(cannotMount).each(users)('a mount by $name', (user) => {
  it('05#30 has no extended attributes unless asked to', async () => {
    const mount = await FixtureMount.open(user, ALL)
    const outcomes = await mount.look(['xattr', BLOB_A_NAME, XATTR], ['xattrs', BLOB_A_NAME])
    // listxattr(2) of a mount without attributes is an empty list to some kernels.
    expect(outcomes[0]).toEqual({ error: 'ENOTSUP' })
    expect(outcomes[1]?.error ?? outcomes[1]?.value).toEqual(outcomes[1]?.error ? 'ENOTSUP' : [])
    await mount.unmount()
  })

  it('05#30 has them under three names, but for links and the root', async () => {
    const mount = await FixtureMount.open(user, { ...ALL, showXattr: true })
    const [file, link, root, short, directory] = await mount.look(
      ['xattrs', BLOB_A_NAME],
      ['xattrs', SYMLINK_NAME],
      ['xattrs', ''],
      ['shortXattr', BLOB_A_NAME, XATTR, 46],
      ['xattr', DIRECTORY_WITH_KEEP_NAME, 'user.snix.castore.directory.digest'],
    )
    const names = ['neve', 'tvix', 'snix'].map((prefix) => `user.${prefix}.castore.blob.digest`)
    expect(file?.value).toEqual(names)
    expect(link?.value).toEqual([])
    expect(root?.value).toEqual([])
    expect(short).toEqual({ error: 'ERANGE' })
    expect(directory?.value).toBe('b3:i1tdZCtka7jtUEsIYsOUE+h+V0kUl9570HWVP3uDgQ4=')
    await mount.unmount()
  })

  it('05#32 05#34 finds a name that appears later, and recovers when its provider does', async () => {
    const mount = await FixtureMount.open(user, ALL)
    const late = '77777777777777777777777777777777-late'
    expect(await mount.one('stat', late)).toEqual({ error: 'ENOENT' })
    await mount.tell('set', { failing: true })
    expect(await mount.one('stat', late)).toEqual({ error: 'EIO' })
    expect(await mount.one('stat', late)).toEqual({ error: 'EIO' })
    await mount.tell('set', { failing: false })
    expect(await mount.one('stat', late)).toEqual({ error: 'ENOENT' })
    await mount.tell('add', [late, nodeText(fileNode(BLOB_A))])
    await mount.tell('add', [`${late}-executable`, nodeText(fileNode(BLOB_A, true))])
    const [plain, executable, plainAgain] = await mount.look(
      ['stat', late],
      ['stat', `${late}-executable`],
      ['stat', late],
    )
    expect(plain?.value).toMatchObject({ permissions: 0o444 })
    expect(executable?.value).toMatchObject({ permissions: 0o555 })
    expect(plainAgain).toEqual(plain)
    const { troubles } = await mount.stats()
    expect(troubles).toEqual([`lookup /${late}: the provider is away`])
    await mount.unmount()
  })

  it('05#33 tells what it knows while 64 readers wait for a slow backend', async () => {
    const blobs = Array.from({ length: 64 }, (_, index) => Buffer.from(`content ${index}`))
    const roots = Object.fromEntries(blobs.map((blob, index) => [`blob-${index}`, fileNode(blob)]))
    const mount = await FixtureMount.open(user, {
      roots: { ...roots, [BLOB_A_NAME]: fileNode(BLOB_A) },
      blobs,
    })
    await mount.tell('hold', 'read')
    const readers = blobs.map((_, index) => mount.begin(['read', `blob-${index}`]))
    for (let waiting = 0; waiting < blobs.length; ) waiting = (await mount.stats()).reads
    expect((await mount.one('stat', BLOB_A_NAME)).value).toMatchObject({ size: 2 })
    await mount.tell('release', 'read')
    const outcomes = await Promise.all(readers.map(({ outcome }) => outcome))
    expect(outcomes).toMatchObject(blobs.map((blob) => [{ value: { hex: blob.toString('hex') } }]))
    await mount.unmount()
  })

  it('lets a reader be killed while the backend is slow', async () => {
    const mount = await FixtureMount.open(user, ALL)
    await mount.tell('hold', 'read')
    const { child, outcome } = mount.begin(['read', BLOB_A_NAME])
    const failed = expect(outcome).rejects.toThrow('SIGKILL')
    while ((await mount.stats()).reads === 0);
    child.kill('SIGKILL')
    await failed
    await mount.tell('release', 'read')
    while ((await mount.stats()).handles > 0);
    expect(await mount.stats()).toMatchObject({ troubles: [], faults: [] })
    await mount.unmount()
  })

  it('gives up a lookup that is interrupted', async () => {
    const mount = await FixtureMount.open(user, ALL)
    await mount.tell('hold', 'lookup')
    const { child, outcome } = mount.begin(['stat', BLOB_A_NAME])
    const failed = expect(outcome).rejects.toThrow('SIGKILL')
    while ((await mount.stats()).lookups === 0);
    child.kill('SIGKILL')
    await failed
    await mount.tell('release', 'lookup')
    expect((await mount.one('stat', BLOB_A_NAME)).value).toMatchObject({ size: 2 })
    expect(await mount.stats()).toMatchObject({ troubles: [], faults: [] })
    await mount.unmount()
  })

  it('gives what is intact before damage, then EIO, and tells of it once', async () => {
    const mount = await FixtureMount.open(user, { ...ALL, damagedFrom: 524_288 })
    const [before, behind, again, whole] = await mount.look(
      ['readAt', BLOB_B_NAME, 0, 4096],
      ['readAt', BLOB_B_NAME, 700_000, 4096],
      ['readAt', BLOB_B_NAME, 700_000, 4096],
      ['read', BLOB_B_NAME],
    )
    expect(before?.value).toMatchObject({ length: 4096 })
    for (const outcome of [behind, again, whole]) expect(outcome).toEqual({ error: 'EIO' })
    const { troubles } = await mount.stats()
    expect(troubles).toEqual([`read /${BLOB_B_NAME}: the content is damaged`])
    await mount.unmount()
  })

  it('reads a blob that was missing once it is stored', async () => {
    const mount = await FixtureMount.open(user, { ...ALL, blobs: [] })
    expect(await mount.one('read', BLOB_A_NAME)).toEqual({ error: 'EIO' })
    await mount.tell('store', Buffer.from(BLOB_A).toString('base64'))
    expect((await mount.one('read', BLOB_A_NAME)).value).toMatchObject({ hex: '0001' })
    await mount.unmount()
  })

  it('shows names of any bytes, up to the longest', async () => {
    const bytes = Array.from({ length: 255 }, (_, index) => index + 1).filter((byte) => byte !== 0x2f)
    const each = bytes.filter((byte) => byte !== 0x2e).map((byte) => Uint8Array.of(byte))
    const all = [...each, Uint8Array.from(bytes), new Uint8Array(255).fill(0xff)]
    const directory = Directory.fromEntries(
      all.map((name) => [PathComponent.from(name), fileNode(new Uint8Array(0))]),
    )
    const target = Uint8Array.from({ length: 1000 }, (_, index) => (index % 255) + 1)
    const link = { kind: 'symlink', target: SymlinkTarget.from(target) } as const
    const roots = { odd: directory.toNode(), link }
    const mount = await FixtureMount.open(user, { roots, directories: [directory], listRoot: true })
    const texts = all.map((name) => Buffer.from(name).toString('latin1'))
    const listing = await mount.one('listing', 'odd')
    const [readlink, tooLong, ...statuses] = await mount.look(
      ['readlink', 'link'],
      ['stat', `odd/${'x'.repeat(256)}`],
      ...texts.map((name) => ['lstat', `odd/${name}`] as const),
    )
    const listed = (listing.value as [string, string][]).map(([name]) => name)
    expect([...listed].sort()).toEqual([...texts].sort())
    expect(readlink?.value).toBe(Buffer.from(target).toString('latin1'))
    expect(tooLong).toEqual({ error: 'ENAMETOOLONG' })
    expect(statuses).toMatchObject(statuses.map(() => ({ value: { kind: 'file' } })))
    await mount.unmount()
  })

  it('answers statfs, access, and seeks for data and holes', async () => {
    const mount = await FixtureMount.open(user, ALL)
    const outcomes = await mount.look(
      ['statfs', ''],
      ['access', BLOB_A_NAME, 'R_OK'],
      ['access', BLOB_A_NAME, 'W_OK'],
      ['sought', BLOB_B_NAME, 1000, 'SEEK_DATA'],
      ['sought', BLOB_B_NAME, 1000, 'SEEK_HOLE'],
      ['sought', BLOB_B_NAME, BLOB_B.length, 'SEEK_DATA'],
      ['readAt', BLOB_B_NAME, BLOB_B.length - 10, 100],
      ['readAt', BLOB_B_NAME, BLOB_B.length + 10_000, 100],
    )
    expect(outcomes.map(({ value, error }) => value ?? error)).toMatchObject([
      { block: 512, longestName: 255, readOnly: true },
      true,
      false,
      1000,
      BLOB_B.length,
      'ENXIO',
      { length: 10 },
      { length: 0 },
    ])
    await mount.unmount()
  })

  it('gives memory-mapped files the same bytes, and opens links and directories with their own errors', async () => {
    const mount = await FixtureMount.open(user, ALL)
    const [mapped, read, directory, below] = await mount.look(
      ['mapped', BLOB_B_NAME],
      ['read', BLOB_B_NAME],
      ['openFor', DIRECTORY_COMPLICATED_NAME, 'O_WRONLY'],
      ['stat', `${BLOB_A_NAME}/below`],
    )
    expect(mapped?.value).toMatchObject({ length: BLOB_B.length })
    expect(mapped).toEqual(read)
    expect(directory).toEqual({ error: 'EISDIR' })
    expect(below).toEqual({ error: 'ENOTDIR' })
    await mount.unmount()
  })
})
