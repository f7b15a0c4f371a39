import { createHash, timingSafeEqual } from 'node:crypto'
import { ServerError, type ServerMiddleware, Status } from 'nice-grpc-common'
import { CastoreError } from '../../errors.js'
import { checkToken, readPrivateFile } from '../token.js'

/** What a token is good for: `write` reads, too. */
export type Access = 'read' | 'write'

interface KnownToken {
  readonly access: Access
  /** Of the token: all are of one length, and the file's content need not stay in memory. */
  readonly hash: Uint8Array
}

const MAX_TOKENS = 1024
const MAX_HEADER = 1024

/** The tokens that a server knows (DESIGN decision on access; spec 08 section 9). */
export class AccessTokens {
  readonly #path: string
  #known: readonly KnownToken[]

  private constructor(path: string, known: readonly KnownToken[]) {
    this.#path = path
    this.#known = known
  }

  /**
   * Reads a file of tokens: `read TOKEN` or `write TOKEN` on each line; empty lines and those that begin with `#` say
   * nothing. Nobody but its owner and group may have access to it.
   *
   * @throws CastoreError `invalid-input`, with the number of the line and without the token
   */
  static async fromFile(path: string): Promise<AccessTokens> {
    return new AccessTokens(path, await readTokens(path))
  }

  /**
   * Reads the file again. When that fails everything stays as it was.
   *
   * @throws CastoreError `invalid-input`
   */
  async reload(): Promise<void> {
    this.#known = await readTokens(this.#path)
  }

  /** What the token of an `authorization` header is good for; undefined for none, and for one that is not known. */
  accessOf(header: string | undefined): Access | undefined {
    if (header === undefined || header.length > MAX_HEADER) return undefined
    const token = /^bearer +([^ ]+) *$/i.exec(header)?.[1]
    if (token === undefined) return undefined
    const hash = hashOf(token)
    let access: Access | undefined
    // All are compared, each in the same time, so that time tells nothing.
    for (const known of this.#known) if (timingSafeEqual(known.hash, hash)) access = known.access
    return access
  }
}

async function readTokens(path: string): Promise<readonly KnownToken[]> {
  const text = await readPrivateFile(path)
  return parseTokens(text, path)
}

/**
 * @param path what to call the text in messages
 * @throws CastoreError `invalid-input`
 */
export function parseTokens(text: string, path: string): readonly KnownToken[] {
  const known = new Map<string, KnownToken>()
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (/^\s*(#|$)/.test(line)) continue
    const where = `${path}: line ${index + 1}`
    const [, access, token] = /^\s*(read|write)[ \t]+(\S+)\s*$/.exec(line) ?? []
    if (access === undefined) {
      throw new CastoreError('invalid-input', `${where}: expected 'read TOKEN' or 'write TOKEN'`)
    }
    const hash = hashOf(checkToken(token!, where))
    const key = hash.toString('hex')
    if (known.has(key)) throw new CastoreError('invalid-input', `${where}: this token is there already`)
    known.set(key, { access: access as Access, hash })
  }
  if (known.size === 0) throw new CastoreError('invalid-input', `${path}: expected a token, got none`)
  if (known.size > MAX_TOKENS) {
    throw new CastoreError(
      'invalid-input',
      `${path}: expected at most ${MAX_TOKENS} tokens, got ${known.size}`,
    )
  }
  return [...known.values()]
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}

/** The methods that a token for reading is good for, without the package before the service: all others write. */
const READING = new Set([
  'BlobService/Read',
  'BlobService/Stat',
  'BlobBatchService/Get',
  'BlobBatchService/Has',
  'BlobStoreService/GetBlob',
  'BlobStoreService/StatBlob',
  'ChunkStoreService/GetChunk',
  'ChunkStoreService/StatChunk',
  'DirectoryService/Get',
  'PathInfoService/CalculateNAR',
  'PathInfoService/Get',
  'PathInfoService/List',
  'ServerReflection/ServerReflectionInfo',
])

/** Tells nobody what is stored, and whoever asks whether a server is well rarely has a token. */
const OPEN_TO_ALL = '/grpc.health.v1.Health/'

/**
 * Lets calls in that have one of the tokens: for every service of the server but health, which needs none. A call without one, or with one that is
 * not known, fails as UNAUTHENTICATED; one that changes something with a token for reading as PERMISSION_DENIED.
 */
export function requireTokens(tokens: AccessTokens): ServerMiddleware {
  return (call, context) => {
    const access = tokens.accessOf(context.metadata.get('authorization'))
    const refusal = refusalOf(call.method.path, access)
    return refusal === undefined ? call.next(call.request, context) : refuse(refusal)
  }
}

function refusalOf(path: string, access: Access | undefined): ServerError | undefined {
  if (path.startsWith(OPEN_TO_ALL)) return undefined
  if (access === undefined) {
    return new ServerError(
      Status.UNAUTHENTICATED,
      "expected a token that is known in 'authorization: Bearer'",
    )
  }
  if (access === 'write' || READING.has(path.replace(/^\/(?:.*\.)?/, ''))) return undefined
  return new ServerError(Status.PERMISSION_DENIED, 'the token is for reading only')
}

// biome-ignore lint/correctness/useYield: fails before the first answer
async function* refuse(error: ServerError): AsyncGenerator<never, never, undefined> {
  throw error
}
