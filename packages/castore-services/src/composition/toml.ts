import { createReadStream } from 'node:fs'
import { parse, TomlError } from 'smol-toml'
import { Composition } from './composition.js'
import type { CompositionInit } from './composition-init.js'
import { defaultRegistry } from './default-services.js'
import { ConfigError } from './errors.js'
import type { Kind } from './kind.js'
import type { Registry } from './registry.js'
import { TomlLines } from './toml-lines.js'

/** Options of {@link parseComposition}. */
export interface ParseCompositionOptions extends Omit<CompositionInit, 'registry'> {
  /** The types that may be named. Default: those of this package. */
  readonly registry?: Registry | undefined
  /** What to call the text in errors. Default: it is not named. */
  readonly file?: string | undefined
}

/**
 * Reads a composition from TOML (spec 04 section 3): a table for each kind, in it one for each instance. Nothing is
 * built.
 *
 * @throws ConfigError with file, line, table, instance and key, as far as they are known
 */
export function parseComposition(text: string, options: ParseCompositionOptions = {}): Composition {
  const { file } = options
  const data = parseToml(text, file)
  try {
    return compositionOf(data, options)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    throw inFile(error, new TomlLines(text), file)
  }
}

/** The error, knowing its file and line. */
export function inFile(error: ConfigError, lines: TomlLines, file: string | undefined): ConfigError {
  const { table, instance, key } = error.location
  const path = [table, instance, ...(key ?? '').split(/[.[]/)].filter(
    (part) => part !== undefined && part !== '',
  )
  return error.at({ file, line: lines.find(path as string[]) })
}

/**
 * Reads a composition from data of any format: an object with a table for each kind.
 *
 * @throws ConfigError with table, instance and key
 */
export function compositionOf(
  data: unknown,
  options: Omit<ParseCompositionOptions, 'file'> = {},
): Composition {
  const { registry = defaultRegistry(), ...init } = options
  if (typeof data !== 'object' || data === null || Array.isArray(data)) {
    throw new ConfigError('expected a table for each kind of service')
  }
  const composition = new Composition({ ...init, registry })
  for (const [name, table] of Object.entries(data)) {
    const kind = kindOfTable(registry, name)
    composition.extend(kind, registry.parseTable(kind, table))
  }
  return composition
}

/** @throws ConfigError when no kind has a table of that name */
export function kindOfTable(registry: Registry, name: string): Kind<unknown> {
  const kinds = registry.kinds()
  const kind = kinds.find((candidate) => candidate.table === name)
  if (kind !== undefined) return kind
  const known = kinds.map((candidate) => candidate.table).join(', ')
  const table = name.slice(0, 80)
  throw new ConfigError(`unknown table '${table}', expected one of ${known}`, { table })
}

/**
 * Reads a composition from a TOML file.
 *
 * @throws ConfigError as {@link parseComposition}, and when the file cannot be read
 */
export async function readCompositionFile(
  path: string,
  options: ParseCompositionOptions = {},
): Promise<Composition> {
  return parseComposition(await readCompositionText(path, options.file), { file: path, ...options })
}

/** No composition file is longer, in bytes. */
const MAX_FILE = 4 * 1024 * 1024

/** @throws ConfigError when the file cannot be read, has more than 4 MiB or is not UTF-8 */
export async function readCompositionText(path: string, file: string = path): Promise<string> {
  try {
    // Not by its size: a device says it has none, and never ends.
    const pieces: Buffer[] = []
    let length = 0
    for await (const piece of createReadStream(path) as AsyncIterable<Buffer>) {
      length += piece.length
      if (length > MAX_FILE) throw new Error(`expected at most ${MAX_FILE} bytes`)
      pieces.push(piece)
    }
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces))
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new ConfigError(`cannot read the file: ${reason}`, { file }, { cause })
  }
}

/**
 * Reads TOML, with errors that show nothing of it but where they are.
 *
 * @param file what to call it in errors
 * @throws ConfigError with the line
 */
export function parseToml(text: string, file: string | undefined): unknown {
  try {
    return parse(text)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    // Its message goes on with the lines around the fault; there may be secrets on them.
    const [first = 'invalid TOML'] = error.message.split('\n')
    const detail = `${first.slice(0, 1).toLowerCase()}${first.slice(1)}, column ${error.column}`
    throw new ConfigError(detail, { file, line: error.line })
  }
}
