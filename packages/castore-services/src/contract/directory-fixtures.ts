import {
  B3Digest,
  Directory,
  type DirectorySizes,
  type Node,
  PathComponent,
  SymlinkTarget,
} from '@neve/castore-model'
import type { DirectoryService } from '../directory-service.js'
import { SeededRandom } from './random.js'

/** A directory of entries with text for names. */
export function directoryOf(entries: Readonly<Record<string, Node>>): Directory {
  return Directory.fromEntries(
    Object.entries(entries).map(([name, node]) => [PathComponent.from(name), node] as const),
  )
}

const EMPTY_FILE: Node = { kind: 'file', digest: B3Digest.EMPTY, size: 0n, executable: false }

/** The directories of spec 03 section 13. */
export const A = Directory.EMPTY
export const B = directoryOf({ a: A.toNode() })
export const C = directoryOf({ a: A.toNode(), "a'": A.toNode() })
export const D = directoryOf({ a: A.toNode(), b: B.toNode() })
export const WITH_KEEP = directoryOf({ '.keep': EMPTY_FILE })
export const COMPLICATED = directoryOf({
  '.keep': EMPTY_FILE,
  aa: { kind: 'symlink', target: SymlinkTarget.from('/nix/store/somewhereelse') },
  keep: WITH_KEEP.toNode(),
})
/** References A with a size that A does not have. */
export const BROKEN_PARENT = directoryOf({ foo: { ...A.toNode(), size: 42n } })

/** A directory whose digest is in no other fixture. */
export function distinctDirectory(index: number, children: Readonly<Record<string, Node>> = {}): Directory {
  return directoryOf({ [`number ${index}`]: EMPTY_FILE, ...children })
}

/** Uploads a closure in the order given, and gives its root's digest. */
export async function upload(
  directories: Pick<DirectoryService, 'putMultipleStart'>,
  ...closure: readonly Directory[]
): Promise<B3Digest> {
  await using putter = directories.putMultipleStart()
  for (const directory of closure) await putter.put(directory)
  return await putter.close()
}

/** Everything below a root, in the order of arrival. */
export async function closureOf(
  directories: Pick<DirectoryService, 'getRecursive'>,
  root: B3Digest,
): Promise<Directory[]> {
  const found: Directory[] = []
  for await (const directory of directories.getRecursive(root)) found.push(directory)
  return found
}

/** Digests as text, which a failing matcher can print. */
export function digestsOf(directories: readonly Directory[]): string[] {
  return directories.map((directory) => directory.digest().toString())
}

/**
 * A closure of distinct directories that share children, leaves first, the root last. Names are bytes of any kind.
 *
 * @param rule by which sizes are written
 */
export function randomClosure(size: number, seed: number, rule: DirectorySizes = 'once'): Directory[] {
  const random = new SeededRandom(seed)
  const made: Directory[] = []
  const orphans = new Set<Directory>()
  for (let index = 0; index < size; index++) {
    const children = new Set<Directory>()
    for (let child = random.between(0, 4); child > 0 && made.length > 0; child--) {
      children.add(made[random.between(0, made.length)]!)
    }
    if (index === size - 1) for (const orphan of orphans) children.add(orphan)
    const names = [...children].map(
      (child, position) => [anyName(random, position), child.toNode(rule)] as const,
    )
    const file = { ...EMPTY_FILE, size: BigInt(index) }
    const directory = Directory.fromEntries([[PathComponent.from('file'), file], ...names])
    for (const child of children) orphans.delete(child)
    orphans.add(directory)
    made.push(directory)
  }
  return made
}

function anyName(random: SeededRandom, position: number): PathComponent {
  const bytes = random.bytes(8).map((byte) => (byte === 0 || byte === 0x2f ? 0xff : byte))
  // Unique within a directory, and no UTF-8.
  bytes[0] = 0x80 + (position % 128)
  bytes[1] = 0x80 + (position >> 7)
  return PathComponent.from(bytes)
}
