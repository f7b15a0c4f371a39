import { B3Digest, decodeAnonymousNode, encodeNode, type Node } from '@neve/castore-model'
import { HttpError } from './http-error.js'
import type { NarForm } from './nar-form.js'

/** A NAR that a client put, under the name that it chose. */
export interface UploadedNar {
  /** Of the file: `0h40zg6h….nar.xz`. */
  readonly name: string
  readonly form: NarForm
  /** Length in bytes, and SHA-256, of the file as it came. */
  readonly fileSize: bigint
  readonly fileHash: Uint8Array
  readonly node: Node
  readonly narSize: bigint
  readonly narSha256: Uint8Array
  /** The file itself, where it was kept because its form is too dear to make again. */
  readonly file?: B3Digest | undefined
}

/** A NAR that was put, and what is remembered beside it. */
export interface UploadRecord {
  readonly nar: UploadedNar
  /** When it was put, in milliseconds since 1970. */
  readonly time: number
  /** Whether a narinfo has named it. */
  readonly named: boolean
  /** The cache that it was put to, where a store has several. */
  readonly cache: string
}

const NAMELESS = new Uint8Array(0)

/** A record as it is stored. */
export function encodeUpload({ nar, time, named, cache }: UploadRecord): Uint8Array {
  const record = {
    ...{ version: 1, time, named, cache, name: nar.name, form: nar.form },
    fileSize: `${nar.fileSize}`,
    fileHash: base64(nar.fileHash),
    node: base64(encodeNode(NAMELESS, nar.node)),
    narSize: `${nar.narSize}`,
    narSha256: base64(nar.narSha256),
    file: nar.file?.toSri(),
  }
  return Buffer.from(JSON.stringify(record))
}

/**
 * Reads what {@link encodeUpload} wrote.
 *
 * @throws HttpError 500 for anything else
 */
export function decodeUpload(bytes: Uint8Array): UploadRecord {
  try {
    const record = JSON.parse(Buffer.from(bytes).toString()) as Record<string, unknown>
    const text = (key: string): string => {
      const value = record[key]
      if (typeof value !== 'string') throw new Error(`expected ${key} to be text`)
      return value
    }
    const { version, time, named, file } = record
    if (version !== 1 || typeof time !== 'number') throw new Error('expected version 1')
    const nar: UploadedNar = {
      name: text('name'),
      form: text('form') as NarForm,
      fileSize: BigInt(text('fileSize')),
      fileHash: bytesOf(text('fileHash')),
      node: decodeAnonymousNode(bytesOf(text('node'))),
      narSize: BigInt(text('narSize')),
      narSha256: bytesOf(text('narSha256')),
      file: file === undefined ? undefined : B3Digest.parse(text('file')),
    }
    return { nar, time, named: named === true, cache: text('cache') }
  } catch (cause) {
    throw new HttpError(500, 'the record of a NAR that was put is damaged', {}, { cause })
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}

function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64'))
}
