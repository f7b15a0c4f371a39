import { B3Digest, Directory, type Node, PathComponent, SymlinkTarget } from '@neve/castore-model'

/** The fixtures of spec 01 section 10. */
export const HELLOWORLD_BLOB_CONTENTS = new TextEncoder().encode('Hello World!')
export const EMPTY_BLOB_CONTENTS = new Uint8Array(0)
export const BLOB_A = Uint8Array.of(0, 1)
export const BLOB_B = new Uint8Array(255 * 4096).map((_, i) => i % 255)
export const DUMMY_DATA_1 = Uint8Array.of(1, 2, 3)
export const DUMMY_DATA_2 = Uint8Array.of(4, 5)
export const DUMMY_DIGEST = B3Digest.from(new Uint8Array(32))
export const DUMMY_DIGEST_2 = B3Digest.from(Uint8Array.of(0x10, ...new Uint8Array(31)))

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
export const unhex = (text: string): Uint8Array =>
  new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'))
export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

export const name = (text: string | Uint8Array): PathComponent => PathComponent.from(text)
export const emptyFile: Node = { kind: 'file', digest: B3Digest.EMPTY, size: 0n, executable: false }
export const dir = (child: Directory, rule: 'once' | 'twice' = 'once'): Node => child.toNode(rule)
export const dirNode = (size: bigint, digest = DUMMY_DIGEST): Node => ({ kind: 'directory', digest, size })
export const fileNode = (size: bigint, executable = false, digest = DUMMY_DIGEST): Node => ({
  kind: 'file',
  digest,
  size,
  executable,
})
export const link = (target: string | Uint8Array): Node => ({
  kind: 'symlink',
  target: SymlinkTarget.from(target),
})

export function directory(entries: Record<string, Node>): Directory {
  return Directory.fromEntries(Object.entries(entries).map(([text, node]) => [name(text), node] as const))
}

/** The fixture directories by the given size rule. */
export function fixtures(rule: 'once' | 'twice') {
  const A = Directory.EMPTY
  const WITH_KEEP = directory({ '.keep': emptyFile })
  const B = directory({ a: dir(A, rule) })
  return {
    A,
    B,
    C: directory({ a: dir(A, rule), "a'": dir(A, rule) }),
    D: directory({ a: dir(A, rule), b: dir(B, rule) }),
    WITH_KEEP,
    COMPLICATED: directory({
      keep: dir(WITH_KEEP, rule),
      '.keep': emptyFile,
      aa: link('/nix/store/somewhereelse'),
    }),
  }
}
