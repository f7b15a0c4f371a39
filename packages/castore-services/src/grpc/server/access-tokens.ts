import { createHash, timingSafeEqual } from 'node:crypto'
import { type Stats, statSync } from 'node:fs'
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

/** How often to look whether the file has changed, in milliseconds: when it is used, not more. */
const LOOK_INTERVAL = 1000

/** Options of {@link AccessTokens.fromFile}. */
export interface AccessTokensOptions {
  /** Told why a file that has changed cannot be used: once for each change. Default: nobody is. */
  readonly onError?: ((error: unknown) => void) | undefined
  /** Milliseconds from whenever on, never backwards. Default: those of the process. */
  readonly now?: (() => number) | undefined
}

/**
 * The tokens that a server knows (DESIGN decision on access; spec 08 section 9). A change of their file is noticed when a
 * token is looked up, within a second: one that was taken out is of no use from then on.
 */
export class AccessTokens {
  readonly #path: string
  readonly #onError: (error: unknown) => void
  readonly #now: () => number
  #known: readonly KnownToken[] = []
  /** What the file was like when it was last read, or could not be. */
  #seen = ''
  #looked: number

  private constructor(
    path: string,
    { onError = () => {}, now = () => performance.now() }: AccessTokensOptions,
  ) {
    this.#path = path
    this.#onError = onError
    this.#now = now
    this.#looked = now()
  }

  /**
   * Reads a file of tokens: `read TOKEN` or `write TOKEN` on each line; empty lines and those that begin with `#` say
   * nothing. Nobody but its owner and group may have access to it.
   *
   * @throws CastoreError `invalid-input`, with the number of the line and without the token
   */
  static async fromFile(path: string, options: AccessTokensOptions = {}): Promise<AccessTokens> {
    const tokens = new AccessTokens(path, options)
    tokens.#read()
    return tokens
  }

  /**
   * Reads the file again, changed or not. When that fails everything stays as it was.
   *
   * @throws CastoreError `invalid-input`
   */
  async reload(): Promise<void> {
    this.#read()
  }

  /** What the token of an `authorization` header is good for; undefined for none, and for one that is not known. */
  accessOf(header: string | undefined): Access | undefined {
    if (header === undefined || header.length > MAX_HEADER) return undefined
    const token = /^bearer +([^ ]+) *$/i.exec(header)?.[1]
    if (token === undefined) return undefined
    this.#look()
    const hash = hashOf(token)
    let access: Access | undefined
    // All are compared, each in the same time, so that time tells nothing.
    for (const known of this.#known) if (timingSafeEqual(known.hash, hash)) access = known.access
    return access
  }

  /** Reads the file again if it is another one than before. */
  #look(): void {
    const now = this.#now()
    if (now - this.#looked < LOOK_INTERVAL) return
    this.#looked = now
    const stats = statSync(this.#path, { throwIfNoEntry: false })
    if (identityOf(stats) === this.#seen) return
    try {
      this.#read()
    } catch (error) {
      this.#seen = identityOf(stats)
      this.#onError(error)
    }
  }

  // Not in turns with others: nobody is to be let in by what the file had before.
  #read(): void {
    const { text, stats } = readPrivateFile(this.#path)
    this.#seen = identityOf(stats)
    this.#known = parseTokens(text, this.#path)
  }
}

/** What changes when a file does, is replaced, or becomes another's. */
function identityOf(stats: Stats | undefined): string {
  if (stats === undefined) return ''
  const { dev, ino, mode, size, mtimeMs, ctimeMs } = stats
  return [dev, ino, mode, size, mtimeMs, ctimeMs].join(' ')
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
