import { type Command, InvalidArgumentError, Option } from 'commander'
import type { RetentionFlags } from '../gc-targets.js'

/** Options of a binary cache, or of several. */
export interface CacheOptions extends RetentionFlags {
  readonly priority?: number
  readonly compression?: 'auto' | 'zstd' | 'none'
  readonly signKey?: readonly string[]
  readonly requireSignature?: readonly string[]
  readonly cacheFiles?: string
  readonly tokenFile?: string
  /** With tokens: everybody may read. */
  readonly publicRead?: boolean
  readonly readOnly?: boolean
  /** False with `--no-page`. */
  readonly page?: boolean
  /** Caches below prefixes, as flags: `/team?sign-key=team.key`. */
  readonly cache?: readonly string[]
  /** The same in a file. */
  readonly cacheConfig?: string
}

/** Options of whatever serves binary caches. */
export interface HttpOptions extends CacheOptions {
  /** True with `--access-log`. */
  readonly accessLog?: boolean
}

/** Adds them to a command. */
export function addHttpOptions(command: Command): Command {
  const several = (text: string, before: readonly string[] = []) => [...before, text]
  command
    .addOption(
      new Option(
        '--priority <number>',
        'where the cache stands among others: the lower, the earlier it is asked (default: 39)',
      )
        .env('NEVE_PRIORITY')
        .argParser(parsePriority),
    )
    .addOption(
      new Option(
        '--compression <how>',
        'what narinfo files offer; auto is zstd where the store has frames to pass on (default: auto)',
      ).choices(['auto', 'zstd', 'none']),
    )
    .option(
      '--sign-key <file>',
      'sign what is served with this secret key; may be given several times',
      several,
    )
    .option(
      '--require-signature <key>',
      'take only what this public key signed; may be given several times, for one of them',
      several,
    )
    .option(
      '--cache-files <address>',
      'where to keep what Nix puts beside store paths, such as file:///srv/cache or s3://bucket/cache (default: in the embedded store)',
    )
    .option('--public-read', 'let everybody read over HTTP; tokens are for writing')
    .option('--no-page', 'serve Nix only, and no pages for people')
    .option(
      '--cache <path>',
      "a cache below a path, with what is its own: '/team?sign-key=team.key&token-file=tokens'; may be given several times",
      several,
    )
    .option('--cache-config <file>', 'the same from a TOML file with a table [cache.NAME] for each')
  return addAccessLog(command)
}

/** Adds the option of whatever serves over HTTP. */
export function addAccessLog(command: Command): Command {
  return command.option('--access-log', 'log every HTTP request')
}

function parsePriority(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('Expected a number from 0 to 999999')
}
