import {
  CastoreModelError,
  DirectoryError,
  decodeAnonymousNode,
  encodeNode,
  type Node,
} from '@neve/castore-model'

/** What the URL of a NAR says when its contents are in castore (spec 07 section 13.7). */
export interface InfusedNar {
  readonly node: Node
  /** Length of the NAR in bytes. */
  readonly narSize: bigint
}

/** 4096 bytes of a node are as long as this in base64url. */
const MAX_NODE_LENGTH = 5462

/** The URL of a NAR, relative to its cache, that names the root node: whoever speaks castore need not download it. */
export function formatInfusedNar({ node, narSize }: InfusedNar): string {
  const text = Buffer.from(encodeNode(new Uint8Array(0), node)).toString('base64url')
  return `nar/snix-castore/${text}?narsize=${narSize}`
}

/** Reads such a URL, of either generation; undefined for any other. */
export function parseInfusedNar(url: string): InfusedNar | undefined {
  const parts = /^nar\/(?:snix|tvix)-castore\/([A-Za-z0-9_-]+)\?narsize=([0-9]{1,20})$/.exec(url)
  if (parts === null) return undefined
  const [, text, digits] = parts as unknown as [string, string, string]
  const narSize = BigInt(digits)
  if (text.length > MAX_NODE_LENGTH || narSize >= 2n ** 64n) return undefined
  const bytes = Buffer.from(text, 'base64url')
  // Neither surplus bits nor a length that no encoding has.
  if (bytes.toString('base64url') !== text) return undefined
  try {
    return { node: decodeAnonymousNode(new Uint8Array(bytes)), narSize }
  } catch (error) {
    if (error instanceof CastoreModelError || error instanceof DirectoryError) return undefined
    throw error
  }
}
