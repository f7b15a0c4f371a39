import { NixHash, STORE_DIR, StorePath } from '@neve/nix-compat'
import type { PathMetadata } from '../path-info-service.js'

/**
 * How Nix has written path infos in JSON:
 * - `list`: until 2.18, and Lix: a list of objects with `path`; members without a value are left out
 * - `1`: from 2.19 on, `--json-format 1`: an object keyed by absolute paths
 * - `2`: `--json-format 2`: an object with `info`, keyed by base names, hashes as objects
 */
export type NixJsonFormat = 'list' | '1' | '2'

/** What {@link formatNixPathInfos} writes of one store path. */
export interface FormattedPath {
  readonly storePath: StorePath
  /** Undefined: the path is not valid. */
  readonly info: PathMetadata | undefined
  /** Sum of the NAR sizes of its closure, in bytes. Default: not written. */
  readonly closureSize?: bigint | undefined
}

/**
 * The JSON that `nix path-info --json` writes, in pieces: one path at a time, however many there are. Local matters of a
 * Nix store, `registrationTime` and `ultimate`, are as of a binary cache: left out, `null` or `false`.
 */
export async function* formatNixPathInfos(
  paths: AsyncIterable<FormattedPath> | Iterable<FormattedPath>,
  format: NixJsonFormat = 'list',
): AsyncGenerator<string, void, undefined> {
  const [open, close] = BRACKETS[format]
  yield open
  let separator = ''
  for await (const path of paths) {
    yield separator + WRITERS[format](path)
    separator = ','
  }
  yield close
}

const BRACKETS: Readonly<Record<NixJsonFormat, readonly [string, string]>> = {
  list: ['[', ']\n'],
  '1': ['{', '}\n'],
  '2': ['{"info":{', `},"storeDir":"${STORE_DIR}","version":2}\n`],
}

const WRITERS: Readonly<Record<NixJsonFormat, (path: FormattedPath) => string>> = {
  list: ({ storePath, info, closureSize }) => {
    const path = storePath.toAbsolute()
    if (info === undefined) return json({ path, valid: false })
    const { references, ca, deriver, signatures } = info
    return json({
      path,
      narHash: narHashOf(info).toSri(),
      narSize: info.narSize,
      references: references.map((reference) => reference.toAbsolute()),
      ca: ca?.toString(),
      closureSize,
      deriver: deriver && derivationOf(deriver).toAbsolute(),
      signatures: signatures.length > 0 ? signatures.map(String) : undefined,
    })
  },
  '1': ({ storePath, info, closureSize }) => {
    const key = json(storePath.toAbsolute())
    if (info === undefined) return `${key}:null`
    const { references, ca, deriver } = info
    return `${key}:${json({
      ca: ca?.toString() ?? null,
      closureSize,
      deriver: deriver === undefined ? null : derivationOf(deriver).toAbsolute(),
      narHash: narHashOf(info).toSri(),
      references: references.map((reference) => reference.toAbsolute()),
      ...commonMembers(info),
      version: 1,
    })}`
  },
  '2': ({ storePath, info, closureSize }) => {
    const key = json(storePath.toString())
    if (info === undefined) return `${key}:null`
    const { references, ca, deriver } = info
    return `${key}:${json({
      ca: ca === undefined ? null : { hash: hashObject(ca.hash), method: METHODS[ca.method] },
      closureSize,
      deriver: deriver === undefined ? null : derivationOf(deriver).toString(),
      narHash: hashObject(narHashOf(info)),
      references: references.map(String),
      ...commonMembers(info),
      version: 2,
    })}`
  },
}

const METHODS = { text: 'text', flat: 'flat', recursive: 'nar' } as const

function commonMembers({ narSize, signatures }: PathMetadata): Record<string, unknown> {
  return {
    narSize,
    registrationTime: null,
    signatures: signatures.map(String),
    storeDir: STORE_DIR,
    ultimate: false,
  }
}

function narHashOf({ narSha256 }: PathMetadata): NixHash {
  return new NixHash('sha256', narSha256)
}

function hashObject(hash: NixHash): Record<string, string> {
  return { algorithm: hash.algorithm, format: 'base16', hash: hash.toHex() }
}

/** The derivation of a deriver, which path infos have without its ending. */
function derivationOf({ digest, name }: StorePath): StorePath {
  return new StorePath(digest, `${name}.drv`)
}

// JSON has no limit for numbers, JavaScript has: what it cannot hold keeps its digits as text.
function json(value: unknown): string {
  return JSON.stringify(value, (_, member) => {
    if (typeof member !== 'bigint') return member
    return member <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(member) : String(member)
  })
}
