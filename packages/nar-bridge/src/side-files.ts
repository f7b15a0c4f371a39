import { createHash } from 'node:crypto'
import type { ObjectStore } from '@neve/castore-services/object-store'
import { parseStorePathFileName, StorePath, StorePathError } from '@neve/nix-compat'
import type { BridgeRequest, Reply } from './exchange.js'
import { HttpError } from './http-error.js'
import { absent } from './narinfo-routes.js'
import { wholeBody } from './narinfo-upload.js'

/** A kind of file that Nix keeps beside narinfo files, and that means nothing to a store. */
interface Kind {
  readonly folder: string
  readonly type: string
  /** In bytes, as it is sent. */
  readonly maxLength: number
  readonly isName: (name: string) => boolean
}

const KINDS: readonly Kind[] = [
  {
    folder: 'log',
    type: 'text/plain; charset=utf-8',
    maxLength: 64 * 1024 * 1024,
    isName: isDerivation,
  },
  {
    folder: 'realisations',
    type: 'application/json',
    maxLength: 1024 * 1024,
    isName: (name) => /^sha256:[0-9a-f]{64}![A-Za-z0-9+._?=-]{1,211}\.doi$/.test(name),
  },
  {
    folder: 'debuginfo',
    type: 'application/json',
    maxLength: 64 * 1024,
    isName: (name) => /^[0-9a-f]{2,128}(?:\.debug)?$/.test(name),
  },
]

/** Encodings of the way that Nix uses for logs. */
const ENCODINGS: ReadonlySet<string> = new Set(['br', 'gzip', 'xz', 'bzip2', 'zstd'])
/** The longest line before the content of an object. */
const MAX_HEAD = 64

/** What a path below the cache means, if it is a file of one of the kinds. */
export interface SideFile {
  readonly kind: Kind
  readonly name: string
}

/** @param path without the slash before it, nothing decoded */
export function parseSideFile(path: string): SideFile | undefined {
  const slash = path.indexOf('/')
  const kind = KINDS.find(({ folder }) => folder === path.slice(0, slash))
  if (kind === undefined) return undefined
  const name = decoded(path.slice(slash + 1))
  return name !== undefined && kind.isName(name) ? { kind, name } : undefined
}

/** Build logs, realisations of derivations addressed by contents, and where debug information is: stored as they come. */
export class SideFiles {
  readonly #objects: ObjectStore

  /** @param objects stays the caller's */
  constructor(objects: ObjectStore) {
    this.#objects = objects
  }

  async get(file: SideFile, { signal }: BridgeRequest): Promise<Reply> {
    const { kind } = file
    const bytes = await this.#objects.get(keyOf(file), { signal, maxSize: kind.maxLength + MAX_HEAD })
    if (bytes === undefined) return absent()
    const end = bytes.indexOf(0x0a)
    const encoding = Buffer.from(bytes.subarray(0, end)).toString('latin1')
    const body = bytes.subarray(end + 1)
    const headers: Record<string, string> = {
      'content-type': kind.type,
      'content-length': `${body.length}`,
      'x-content-type-options': 'nosniff',
    }
    if (encoding !== '') headers['content-encoding'] = encoding
    return { status: 200, headers, body }
  }

  /** @throws HttpError 400, 413, 415 */
  async put(file: SideFile, request: BridgeRequest): Promise<void> {
    const { kind, name } = file
    const encoding = request.header('content-encoding') ?? ''
    if (encoding !== '' && !ENCODINGS.has(encoding)) {
      throw new HttpError(415, `expected no Content-Encoding, or one of ${[...ENCODINGS].join(', ')}`)
    }
    const body = await wholeBody(request, kind.maxLength)
    if (kind.type === 'application/json' && encoding === '') checkJson(body, `${kind.folder}/${name}`)
    await this.#objects.put(keyOf(file), Buffer.concat([Buffer.from(`${encoding}\n`), body]))
  }
}

/** Names may have characters that keys have not. */
function keyOf({ kind, name }: SideFile): string {
  return `${kind.folder}/${createHash('sha256').update(name).digest('hex')}`
}

function isDerivation(name: string): boolean {
  if (!name.endsWith('.drv')) return parseStorePathFileName(`${name}.narinfo`) !== undefined
  try {
    StorePath.parse(name)
    return true
  } catch (error) {
    if (error instanceof StorePathError) return false
    throw error
  }
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

function checkJson(body: Buffer, name: string): void {
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch (cause) {
    throw new HttpError(400, `expected ${name} to be JSON`, {}, { cause })
  }
}
