import { B3Digest, type Node, SymlinkTarget } from '@neve/castore-model'
import { ContentAddress, NixHash, Signature, StorePath } from '@neve/nix-compat'
import type { PathInfo } from '../path-info.js'

/** A path info that says as little as possible (spec 07 section 11.4, PATH_INFO_SYMLINK). */
export function pathInfoOf(text: string, changes: Partial<PathInfo> = {}): PathInfo {
  return {
    storePath: StorePath.parse(text),
    node: { kind: 'symlink', target: SymlinkTarget.from('/nix/store/somewhereelse') },
    references: [],
    narSize: 136n,
    narSha256: bytes(32, text),
    signatures: [],
    deriver: undefined,
    ca: undefined,
    ...changes,
  }
}

const ALGORITHMS = ['md5', 'sha1', 'sha256', 'sha512'] as const

/** A path info that says a lot; the same number gives the same one, another one another store path. */
export function randomPathInfo(seed: number): PathInfo {
  const path = (what: string) => new StorePath(bytes(20, `${what}${seed}`), `${what}-${seed}`)
  const digest = B3Digest.from(bytes(32, `node${seed}`))
  const nodes: readonly Node[] = [
    { kind: 'directory', digest, size: BigInt(seed) },
    { kind: 'file', digest, size: BigInt(seed) * 1000n, executable: seed % 2 === 0 },
    { kind: 'symlink', target: SymlinkTarget.from(`../${seed}`) },
  ]
  const algorithm = ALGORITHMS[seed % 4]!
  const contents = new TextEncoder().encode(`contents ${seed}`)
  return {
    storePath: path('p'),
    node: nodes[seed % 3]!,
    references: Array.from({ length: seed % 5 }, (_, i) => path(`reference-${i}`)).sort(StorePath.compare),
    narSize: BigInt(seed) ** 4n,
    narSha256: bytes(32, `nar${seed}`),
    signatures: Array.from(
      { length: seed % 3 },
      (_, i) => new Signature(`key-${i}`, bytes(64, `s${i}${seed}`)),
    ),
    deriver: seed % 2 === 0 ? path('deriver.drv') : undefined,
    ca:
      seed % 7 === 0
        ? undefined
        : new ContentAddress(seed % 5 === 0 ? 'flat' : 'recursive', NixHash.of(algorithm, contents)),
  }
}

/** Bytes that follow from a text. */
export function bytes(length: number, text: string): Uint8Array {
  return NixHash.of('sha512', new TextEncoder().encode(text)).digest.slice(0, length)
}
