import { B3Digest, Directory, type Node, PathComponent } from '@neve/castore-model'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { CastoreFilesystem, MapRootNodes, ServiceContent } from '@neve/fs-fuse'
import { describe, expect, it } from 'vitest'
import { connect } from '../connection.js'
import { BLOB_A_NAME, DIRECTORY_COMPLICATED_NAME, fixtureFilesystem } from '../fixtures.js'
import { frame, named, u64 } from '../frames.js'

describe('05: what the kernel forgets', () => {
  it('keeps a node until it was forgotten as often as it was told', async () => {
    const filesystem = await fixtureFilesystem()
    const { call, walk, transport } = connect(filesystem)
    const node = await walk(BLOB_A_NAME)
    expect(await walk(BLOB_A_NAME)).toBe(node)
    transport.request(frame(2, { node }, u64(1)))
    expect(filesystem.nodes.size).toBe(1)
    transport.request(frame(2, { node }, u64(1)))
    expect(filesystem.nodes.size).toBe(0)
    expect(filesystem.nodes.folderCount).toBe(0)
    expect((await call(frame(3, { node }, 0, 0, u64(0)))).readInt32LE(4)).toBe(-116)
    expect(await walk(BLOB_A_NAME)).not.toBe(node)
  })

  it.each(['children first', 'parents first'])('drops all of a tree, %s', async (order) => {
    const filesystem = await fixtureFilesystem()
    const { walk, transport } = connect(filesystem)
    const path = [DIRECTORY_COMPLICATED_NAME, 'keep', '.keep']
    const nodes = [await walk(path[0]!), await walk(...path.slice(0, 2)), await walk(...path)]
    // Each walk told the kernel of all on its way.
    const counts = [3, 2, 1]
    const forgets = nodes.map((node, index) => [u64(node), u64(counts[index]!)] as const)
    if (order === 'children first') forgets.reverse()
    transport.request(frame(42, {}, 3, 0, ...forgets.flat()))
    expect(filesystem.nodes.size).toBe(0)
    expect(filesystem.nodes.folderCount).toBe(0)
  })

  it('takes no harm from forgetting what it never told, or more than it told', async () => {
    const filesystem = await fixtureFilesystem()
    const { walk, transport } = connect(filesystem)
    const kept = await walk(DIRECTORY_COMPLICATED_NAME)
    const node = await walk(BLOB_A_NAME)
    for (const unknown of [0, 1, 7, node + 1, 2 ** 52]) transport.request(frame(2, { node: unknown }, u64(1)))
    transport.request(frame(2, { node }, [0xffffffff, 0xffffffff]))
    expect(filesystem.nodes.size).toBe(1)
    expect(await walk(DIRECTORY_COMPLICATED_NAME)).toBe(kept)
  })

  it('takes back what an interrupted request was told', async () => {
    const filesystem = await fixtureFilesystem({ listRoot: true })
    const { walk, call, transport } = connect(filesystem)
    const node = await walk(DIRECTORY_COMPLICATED_NAME)
    transport.delivers = false
    await call(frame(1, { node }, named('keep')))
    await call(frame(44, { node }, u64(0), u64(0), 4096, 0, u64(0), 0, 0))
    await call(frame(14, { node: await walk(BLOB_A_NAME) }, 0, 0))
    await call(frame(27, {}, 0, 0))
    expect(filesystem.nodes.size).toBe(1)
    expect(filesystem.openHandles).toBe(0)
  })

  it('gives directories of equal contents nodes of their own, with one inode number', async () => {
    const inner = Directory.EMPTY
    const outer = Directory.fromEntries(
      ['a', 'b'].map((name) => [PathComponent.from(name), inner.toNode()] as [PathComponent, Node]),
    )
    const directories = new MemoryDirectoryService()
    await directories.put(inner)
    await directories.put(outer)
    const filesystem = new CastoreFilesystem({
      roots: new MapRootNodes([['root', outer.toNode()]]),
      content: new ServiceContent(new MemoryBlobService(), directories),
    })
    const { walk } = connect(filesystem)
    const [a, b] = [await walk('root', 'a'), await walk('root', 'b')]
    expect(a).not.toBe(b)
    expect(filesystem.getattr(a)).toEqual(filesystem.getattr(b))
    expect(inner.digest()).toEqual(B3Digest.EMPTY)
  })
})
