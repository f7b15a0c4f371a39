import { hasRawBytes, hostPath } from './arguments.js'
import type { Context } from './context.js'
import { checkImportName, ImportNameError, lastComponent, nameFault } from './import-names.js'
import { UsageError } from './messages.js'

/** An archive to import, and the name that its tree gets. */
export interface NamedArchive {
  /** As the user wrote it. */
  readonly argument: string
  /** Undefined: standard input. */
  readonly path: string | Uint8Array | undefined
  readonly name: string
}

/** What the names of archives end in, and those of their trees do not. */
const ENDINGS = /(?<=.)\.(?:tar(?:\.(?:gz|bz2|xz|zst|zstd))?|tgz|tbz2?|txz|tzst)$/i

/** `hello-2.12` for `/somewhere/hello-2.12.tar.gz`. */
export function archiveName(fileName: string): string {
  return fileName.replace(ENDINGS, '')
}

/**
 * The names of all archives, before anything is done. What has no name that a store path can have is told, and left
 * out.
 *
 * @throws UsageError when `name` cannot be that of all archives, or standard input has none
 */
export function archiveNames(
  context: Context,
  files: readonly string[],
  name: string | undefined,
): NamedArchive[] {
  if (name !== undefined) {
    if (files.length !== 1) throw new UsageError(`--name needs exactly one archive, got ${files.length}`)
    checkImportName(name)
  }
  if (files.filter((file) => file === '-').length > 1)
    throw new UsageError('standard input can be read only once')
  if (files.includes('-') && name === undefined)
    throw new UsageError('an archive from standard input needs --name')
  const named: NamedArchive[] = []
  for (const argument of files) {
    try {
      const path = argument === '-' ? undefined : hostPath(argument)
      named.push({ argument, path, name: name ?? nameOf(argument) })
    } catch (error) {
      context.fail(error)
    }
  }
  return named
}

function nameOf(argument: string): string {
  const last = lastComponent(argument)
  if (last === undefined) {
    throw new ImportNameError(argument, 'has no last part to take the name from: give one with --name')
  }
  if (hasRawBytes(last)) {
    throw new ImportNameError(argument, 'its name is not UTF-8, which store paths need: give one with --name')
  }
  const name = archiveName(last)
  const fault = nameFault(name)
  if (fault !== undefined) throw new ImportNameError(argument, `${fault}; give another name with --name`)
  return name
}
