import { encodeNode, type Node } from '@neve/castore-model'
import { type InfusedNar, parseInfusedNar } from '@neve/store-pathinfo'

/** What the URL of a NAR by its contents asks for. */
export interface NarUrl extends InfusedNar {
  readonly form: 'nar' | 'zstd'
}

const ZSTD = '.nar.zst'

const NAMELESS = new Uint8Array(0)

/** A node as URLs have it. */
export function nodeText(node: Node): string {
  return Buffer.from(encodeNode(NAMELESS, node)).toString('base64url')
}

/**
 * The URL of a NAR by its contents, relative to the cache: the infused one, and as a zstd stream the same with
 * `.nar.zst` behind the node.
 *
 * @param text of the node
 */
export function narUrl(text: string, narSize: bigint, form: NarUrl['form']): string {
  return `nar/snix-castore/${text}${form === 'zstd' ? ZSTD : ''}?narsize=${narSize}`
}

/**
 * Reads a URL by contents, of either generation, without the slash before it (spec 07 section 13.7).
 *
 * @returns `no-size` where everything is right but for the size of the NAR, and undefined for what names no node
 */
export function parseNarUrl(url: string): NarUrl | 'no-size' | undefined {
  const mark = url.indexOf('?')
  const path = mark < 0 ? url : url.slice(0, mark)
  const query = mark < 0 ? '' : url.slice(mark)
  const form = path.endsWith(ZSTD) ? 'zstd' : 'nar'
  const bare = form === 'zstd' ? path.slice(0, -ZSTD.length) : path
  const nar = parseInfusedNar(bare + query)
  if (nar !== undefined) return { ...nar, form }
  return parseInfusedNar(`${bare}?narsize=0`) === undefined ? undefined : 'no-size'
}
