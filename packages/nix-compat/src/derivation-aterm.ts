import type { Derivation } from './derivation.js'
import { encodeHex } from './hex.js'

const encoder = new TextEncoder()
const escapes = new Map([
  [0x22, '\\"'],
  [0x5c, '\\\\'],
  [0x0a, '\\n'],
  [0x0d, '\\r'],
  [0x09, '\\t'],
])

/**
 * A derivation as an ATerm, byte for byte as Nix writes it (spec 09 section 15.3 has examples). Input derivations are
 * given apart from it, sorted, since hashing replaces their paths.
 */
export function writeAterm(
  { outputs, inputSources, system, builder, args, environment }: Derivation,
  inputDerivations: ReadonlyArray<readonly [key: string, outputs: readonly string[]]>,
): Uint8Array {
  const parts = [
    list([...outputs], ([name, { path, address }]) => {
      const algorithm = address && `${address.method === 'recursive' ? 'r:' : ''}${address.hash.algorithm}`
      const digest = address && encodeHex(address.hash.digest)
      return tuple([name, path?.toAbsolute() ?? '', algorithm ?? '', digest ?? ''].map(quote))
    }),
    list(inputDerivations, ([key, wanted]) => tuple([quote(key), list(wanted, quote)])),
    list(inputSources, (path) => quote(path.toAbsolute())),
    quote(system),
    quote(builder),
    list(args, quote),
    list([...environment], ([name, value]) => tuple([quote(name), quote(value)])),
  ]
  return flatten(['Derive', tuple(parts)])
}

/** Texts and bytes to be joined; deep, so that joining copies each byte only once. */
type Piece = string | Uint8Array | readonly Piece[]

function list<Item>(items: readonly Item[], write: (item: Item) => Piece): Piece {
  return ['[', items.map((item, i) => (i === 0 ? write(item) : [',', write(item)])), ']']
}

function tuple(items: readonly Piece[]): Piece {
  return ['(', items.map((item, i) => (i === 0 ? item : [',', item])), ')']
}

function quote(value: string | Uint8Array): Piece {
  const bytes = typeof value === 'string' ? encoder.encode(value) : value
  const pieces: Piece[] = ['"']
  let start = 0
  for (const [i, byte] of bytes.entries()) {
    const escaped = escapes.get(byte)
    if (escaped === undefined) continue
    pieces.push(bytes.subarray(start, i), escaped)
    start = i + 1
  }
  pieces.push(bytes.subarray(start), '"')
  return pieces
}

function flatten(piece: Piece): Uint8Array {
  const leaves: Uint8Array[] = []
  const collect = (part: Piece): void => {
    if (typeof part === 'string') leaves.push(encoder.encode(part))
    else if (part instanceof Uint8Array) leaves.push(part)
    else part.forEach(collect)
  }
  collect(piece)
  const bytes = new Uint8Array(leaves.reduce((sum, leaf) => sum + leaf.length, 0))
  let offset = 0
  for (const leaf of leaves) {
    bytes.set(leaf, offset)
    offset += leaf.length
  }
  return bytes
}
