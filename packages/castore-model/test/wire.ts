import { snix, toUint64 } from '@neve/castore-model/proto'
import { DUMMY_DIGEST, utf8 } from './fixtures.js'

const { v1 } = snix.castore

const bytesOf = (value: string | Uint8Array) => (typeof value === 'string' ? utf8(value) : value)

export interface WireNode {
  readonly name: string | Uint8Array
  readonly digest?: Uint8Array
  readonly size?: bigint
  readonly executable?: boolean
}

export interface WireLink {
  readonly name: string | Uint8Array
  readonly target: string | Uint8Array
}

function node({ name, digest = DUMMY_DIGEST.bytes, size = 0n, executable = false }: WireNode) {
  return {
    ...(name.length > 0 ? { name: bytesOf(name) } : {}),
    ...(digest.length > 0 ? { digest } : {}),
    ...(size > 0n ? { size: toUint64(size) } : {}),
    ...(executable ? { executable } : {}),
  }
}

function link({ name, target }: WireLink) {
  return {
    ...(name.length > 0 ? { name: bytesOf(name) } : {}),
    ...(target.length > 0 ? { target: bytesOf(target) } : {}),
  }
}

/** A `Directory` message as the generated encoder writes it, however invalid: elements in the order given. */
export function wireDirectory(lists: {
  directories?: readonly WireNode[]
  files?: readonly WireNode[]
  symlinks?: readonly WireLink[]
}): Uint8Array {
  const message = {
    directories: (lists.directories ?? []).map(node),
    files: (lists.files ?? []).map(node),
    symlinks: (lists.symlinks ?? []).map(link),
  }
  return new Uint8Array(v1.Directory.encode(message).finish())
}
