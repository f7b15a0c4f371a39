import { realpathSync } from 'node:fs'
import { validateName } from '@neve/nix-compat'
import { argumentBytes, hasRawBytes, hostPath } from './arguments.js'
import type { Context } from './context.js'
import { systemReason, UsageError } from './messages.js'

/** A path to import, and the name that it gets. */
export interface NamedPath {
  /** As the user wrote it. */
  readonly argument: string
  readonly path: string | Uint8Array
  readonly name: string
}

/** @throws UsageError when `name` cannot be that of a store path */
export function checkImportName(name: string): void {
  const reason = nameFault(name)
  if (reason !== undefined) throw new UsageError(`--name ${JSON.stringify(name)}: ${reason}`)
}

/**
 * The names of all paths, before anything is done: the last component of each, or `name`. Where the last component is
 * `.`, `..` or missing, that of the real path is taken (spec 08 section 9). What has no name that a store path can have
 * is told, and left out.
 */
export function importNames(
  context: Context,
  paths: readonly string[],
  name: string | undefined,
): NamedPath[] {
  const named: NamedPath[] = []
  for (const argument of paths) {
    try {
      named.push(name === undefined ? namedPath(argument) : { argument, path: hostPath(argument), name })
    } catch (error) {
      context.fail(error)
    }
  }
  return named
}

function namedPath(argument: string): NamedPath {
  if (argument === '') throw new ImportNameError(argument, 'expected a path, got ""')
  const last = lastComponent(argument)
  const path = last === undefined ? realPath(argument) : hostPath(argument)
  const name = last ?? lastComponent(typeof path === 'string' ? path : '')
  if (name === undefined) {
    throw new ImportNameError(argument, 'has no last part to take the name from: give one with --name')
  }
  if (hasRawBytes(name)) {
    throw new ImportNameError(argument, 'its name is not UTF-8, which store paths need: give one with --name')
  }
  const fault = nameFault(name)
  if (fault !== undefined) throw new ImportNameError(argument, `${fault}; give another name with --name`)
  return { argument, path, name }
}

/** Undefined where it is `.`, `..` or nothing: then the text does not tell the name. */
export function lastComponent(path: string): string | undefined {
  const last = path.replace(/\/+$/, '').split('/').at(-1)
  return last === undefined || last === '' || last === '.' || last === '..' ? undefined : last
}

function realPath(argument: string): string {
  try {
    return realpathSync(hasRawBytes(argument) ? argumentBytes(argument) : argument)
  } catch (error) {
    throw new ImportNameError(argument, systemReason(error), { cause: error })
  }
}

/** Why a name cannot be that of a store path, if it cannot. */
export function nameFault(name: string): string | undefined {
  try {
    validateName(name)
    return undefined
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return `cannot be the name of a store path: ${reason}`
  }
}

/** A path that has no name to be imported under. */
export class ImportNameError extends Error {
  override readonly name = 'ImportNameError'
  readonly code = 'invalid-name'

  constructor(
    readonly path: string,
    reason: string,
    options?: { readonly cause?: unknown },
  ) {
    super(`${path === '' ? '""' : path}: ${reason}`, options)
  }
}
