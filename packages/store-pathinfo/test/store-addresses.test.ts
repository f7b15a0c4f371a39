import { createHash } from 'node:crypto'
import { B3Digest } from '@neve/castore-model'
import { parseAddress, type Store } from '@neve/store-pathinfo'
import { beforeAll, describe, expect, it } from 'vitest'
import { makeVector, NAR_VECTORS, noise } from './host-trees.js'
import { collect, expectStoreError, temporaryStore } from './support.js'

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

describe('addresses', () => {
  const path = 'pngqdzggfqs4q7fg6iywqnlzcgsp85qr-complicated'
  const digest = B3Digest.parse('3f951a15afd586fb3121ef4d13d582e811ce0e5a7f21c0497fd87490e9e2355a')

  it.each([
    [path, path, ''],
    [`/nix/store/${path}`, path, ''],
    [`/nix/store/${path}/`, path, ''],
    [`/nix/store/${path}/keep/.keep`, path, 'keep/.keep'],
    [`/nix/store/${path}/keep/`, path, 'keep'],
    [`${path}/keep`, path, 'keep'],
    [`${path}/keep/`, path, 'keep'],
    [digest.toSri(), digest.toString(), ''],
    [digest.toString(), digest.toString(), ''],
    [digest.toHex(), digest.toString(), ''],
    [`${digest.toSri()}/keep/.keep`, digest.toString(), 'keep/.keep'],
    [`${digest.toHex()}/keep/`, digest.toString(), 'keep'],
    [`${digest.toHex()}/ä`, digest.toString(), 'ä'],
  ])('%s', (address, root, below) => {
    const parsed = parseAddress(address)
    expect([parsed.root.toString(), Buffer.from(parsed.path.bytes).toString()]).toEqual([root, below])
  })

  const refused = [
    '',
    '/',
    '.',
    'complicated',
    '/nix/store',
    '/nix/store/',
    `/gnu/store/${path}`,
    `/nix/store/${path}/..`,
    `${path}/../x`,
    `${path}/./x`,
    `${path}\n`,
    'blake3-abc=',
    `blake3-${digest.toBase64()}x`,
    digest.toHex().slice(1),
    digest.toHex().toUpperCase(),
    `${digest.toHex()}//keep`,
    `/nix/store/${path}//keep`,
    `/nix/store/${path}/a//b`,
    `/nix/store/${path}//`,
    `${path}/a//b`,
    `sha256-${digest.toBase64()}`,
    `${digest.toHex()}/a\0b`,
  ]

  let nothing: Store
  beforeAll(async () => {
    nothing = await temporaryStore()
  })

  it.each(refused)('refused: %j', async (address) => {
    const error = await expectStoreError(() => parseAddress(address), 'invalid-address')
    expect(error.message).toContain('expected a store path')
    await expectStoreError(() => nothing.resolve(address), 'invalid-address')
  })

  it('resolve to nodes', async () => {
    const store = await temporaryStore()
    const { node, storePath } = await store.importPath(makeVector('N-6', 'complicated'))
    expect(node).toMatchObject({ digest })
    const empty = { kind: 'file', digest: B3Digest.EMPTY, size: 0n, executable: false }
    expect(await store.resolve(path)).toMatchObject({ node, storePath })
    expect(await store.resolve(`/nix/store/${path}/keep/.keep`)).toMatchObject({ node: empty, storePath })
    expect((await store.resolve(`${digest.toSri()}/aa`)).node.kind).toBe('symlink')
    expect(await store.resolve(digest.toHex())).toEqual({
      node,
      storePath: undefined,
      path: expect.objectContaining({}),
    })
    const blob = await store.blobs.put(noise(300_000))
    expect((await store.resolve(blob.toHex())).node).toEqual({
      kind: 'file',
      digest: blob,
      size: 300_000n,
      executable: false,
    })
    expect(sha256(await collect(store.nar(`${path}/keep/.keep`)))).toBe(NAR_VECTORS[0]!.sha256)
  })

  it('that name nothing', async () => {
    const store = await temporaryStore()
    await store.importPath(makeVector('N-6', 'complicated'))
    for (const address of [
      '00000000000000000000000000000000-dummy',
      'pngqdzggfqs4q7fg6iywqnlzcgsp85qr-another-name',
      `${path}/void`,
      `${path}/keep/.keep/foo`,
      `${path}/aa/x`,
      'f'.repeat(64),
      `${'f'.repeat(64)}/x`,
    ]) {
      await expectStoreError(() => store.resolve(address), 'not-found')
      await expectStoreError(() => collect(store.nar(address)), 'not-found')
    }
  })
})
