import { encodeNode, type Node } from '@neve/castore-model'
import { LruMap } from '@neve/castore-services'
import type { PathInfo } from '@neve/store-pathinfo'

/** How many NARs to remember: about 300 bytes each. */
const CAPACITY = 50_000

/** A NAR of which somebody heard. */
export interface KnownNar {
  readonly node: Node
  readonly narSize: bigint
}

/** The NARs that clients were told of last: they ask for them next. */
export class KnownNars {
  readonly #byHash = new LruMap<string, KnownNar>(CAPACITY)
  readonly #sizes = new LruMap<string, bigint>(CAPACITY)

  /** Remembers the NAR of a path info, which is trusted to have the right size. */
  remember({ node, narSize, narSha256 }: Pick<PathInfo, 'node' | 'narSize' | 'narSha256'>): void {
    this.#byHash.set(Buffer.from(narSha256).toString('latin1'), { node, narSize })
    this.#sizes.set(keyOf(node), narSize)
  }

  /** @param narSha256 32 bytes */
  byHash(narSha256: Uint8Array): KnownNar | undefined {
    return this.#byHash.get(Buffer.from(narSha256).toString('latin1'))
  }

  /** Length of a node's NAR in bytes. */
  sizeOf(node: Node): bigint | undefined {
    return this.#sizes.get(keyOf(node))
  }

  rememberSize(node: Node, narSize: bigint): void {
    this.#sizes.set(keyOf(node), narSize)
  }
}

const NAMELESS = new Uint8Array(0)

function keyOf(node: Node): string {
  return Buffer.from(encodeNode(NAMELESS, node)).toString('latin1')
}
