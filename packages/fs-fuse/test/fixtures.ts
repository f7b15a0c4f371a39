import {
  B3Digest,
  Directory,
  type DirectoryNode,
  type FileNode,
  PathComponent,
  SymlinkTarget,
} from '@neve/castore-model'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { CastoreFilesystem, type CastoreFilesystemInit, MapRootNodes, ServiceContent } from '@neve/fs-fuse'

/** The fixtures of spec 05 section 9. */
export const BLOB_A = Uint8Array.of(0, 1)
export const BLOB_B = Uint8Array.from({ length: 255 * 4096 }, (_, index) => index % 255)
export const HELLOWORLD_BLOB = new TextEncoder().encode('Hello World!')

export function fileNode(content: Uint8Array, executable = false): FileNode {
  return { kind: 'file', digest: B3Digest.of(content), size: BigInt(content.length), executable }
}

export const EMPTY_FILE: FileNode = fileNode(new Uint8Array(0))
export const DIRECTORY_WITH_KEEP: Directory = Directory.fromEntries([
  [PathComponent.from('.keep'), EMPTY_FILE],
])
export const ELSEWHERE = { kind: 'symlink', target: SymlinkTarget.from('/nix/store/somewhereelse') } as const
export const DIRECTORY_COMPLICATED: Directory = Directory.fromEntries([
  [PathComponent.from('.keep'), EMPTY_FILE],
  [PathComponent.from('aa'), ELSEWHERE],
  [PathComponent.from('keep'), DIRECTORY_WITH_KEEP.toNode()],
])

export const BLOB_A_NAME = '00000000000000000000000000000000-test'
export const SYMLINK_NAME = '11111111111111111111111111111111-test'
export const DIRECTORY_WITH_KEEP_NAME = '22222222222222222222222222222222-test'
export const DIRECTORY_COMPLICATED_NAME = '33333333333333333333333333333333-test'
export const SYMLINK_NAME2 = '44444444444444444444444444444444-test'
export const BLOB_B_NAME = '55555555555555555555555555555555-test'
export const HELLOWORLD_BLOB_NAME = '66666666666666666666666666666666-test'

/** All root names of the fixtures with their nodes. */
export const ROOTS = {
  [BLOB_A_NAME]: fileNode(BLOB_A),
  [SYMLINK_NAME]: { kind: 'symlink', target: SymlinkTarget.from(BLOB_A_NAME) },
  [DIRECTORY_WITH_KEEP_NAME]: DIRECTORY_WITH_KEEP.toNode(),
  [DIRECTORY_COMPLICATED_NAME]: DIRECTORY_COMPLICATED.toNode(),
  [SYMLINK_NAME2]: ELSEWHERE,
  [BLOB_B_NAME]: fileNode(BLOB_B),
  [HELLOWORLD_BLOB_NAME]: fileNode(HELLOWORLD_BLOB, true),
} as const satisfies Record<string, FileNode | DirectoryNode | { kind: 'symlink'; target: SymlinkTarget }>

/** Services with everything that the fixtures refer to. */
export async function fixtureServices(): Promise<{
  blobs: MemoryBlobService
  directories: MemoryDirectoryService
}> {
  const blobs = new MemoryBlobService()
  for (const content of [BLOB_A, BLOB_B, HELLOWORLD_BLOB]) await blobs.put(content)
  const directories = new MemoryDirectoryService()
  await directories.put(DIRECTORY_WITH_KEEP)
  await directories.put(DIRECTORY_COMPLICATED)
  return { blobs, directories }
}

/** A filesystem of the fixtures. */
export async function fixtureFilesystem(
  init: Partial<CastoreFilesystemInit> = {},
): Promise<CastoreFilesystem> {
  const { blobs, directories } = await fixtureServices()
  return new CastoreFilesystem({
    roots: new MapRootNodes(Object.entries(ROOTS)),
    content: new ServiceContent(blobs, directories),
    ...init,
  })
}
