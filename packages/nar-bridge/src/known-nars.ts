import type { Node } from '@neve/castore-model'
import { LruMap } from '@neve/castore-services'
import type { PathInfo } from '@neve/store-pathinfo'
import { nodeText } from './nar-url.js'

/** How many NARs to remember: about 300 bytes each. */
const CAPACITY = 50_000

/** A NAR of which somebody heard. */
export interface KnownNar {
  readonly node: Node
  readonly narSize: bigint
}

/** What it takes to remember a NAR. */
export interface RememberedNar {
  readonly known: KnownNar
  /** Of the NAR. */
  readonly hash: string
  /** The node as URLs have it. */
  readonly text: string
}

export function rememberedNar({ node, narSize, narSha256 }: PathInfo): RememberedNar {
  return { known: { node, narSize }, hash: hashKey(narSha256), text: nodeText(node) }
}

/** The NARs that clients were told of last: they ask for them next. */
export class KnownNars {
  readonly #byHash = new LruMap<string, KnownNar>(CAPACITY)
  readonly #sizes = new LruMap<string, bigint>(CAPACITY)

  /** Remembers the NAR of a path info, which is trusted to have the right size. */
  remember(info: PathInfo): void {
    this.refresh(rememberedNar(info))
  }

  /** As {@link remember}, where what it takes is at hand: lookups of narinfo files come by the ten thousand. */
  refresh({ known, hash, text }: RememberedNar): void {
    this.#byHash.set(hash, known)
    this.#sizes.set(text, known.narSize)
  }

  /** @param narSha256 32 bytes */
  byHash(narSha256: Uint8Array): KnownNar | undefined {
    return this.#byHash.get(hashKey(narSha256))
  }

  /** Length of a node's NAR in bytes. */
  sizeOf(node: Node): bigint | undefined {
    return this.#sizes.get(nodeText(node))
  }

  rememberSize(node: Node, narSize: bigint): void {
    this.#sizes.set(nodeText(node), narSize)
  }
}

function hashKey(narSha256: Uint8Array): string {
  return Buffer.from(narSha256.buffer, narSha256.byteOffset, narSha256.length).toString('latin1')
}
