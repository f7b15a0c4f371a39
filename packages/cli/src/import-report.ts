import type { Node } from '@neve/castore-model'
import { NixHash } from '@neve/nix-compat'
import type { ImportedArchive, ImportedPath } from '@neve/store-pathinfo'
import { argumentBytes } from './arguments.js'
import { counted, formatBytes, formatDuration } from './output/format.js'
import { jsonBytes, jsonLine } from './output/names.js'

/** What a node is, as members of a JSON object. */
export function nodeJson(node: Node): Record<string, unknown> {
  switch (node.kind) {
    case 'symlink':
      return { kind: 'symlink', ...jsonBytes('target', node.target.bytes) }
    case 'directory':
      return { kind: 'directory', digest: node.digest.toSri(), size: node.size }
    case 'file':
      return { kind: 'file', digest: node.digest.toSri(), size: node.size, executable: node.executable }
  }
}

/** One imported path as a line of JSON. */
export function importedJson(argument: string, imported: ImportedPath): string {
  const { newBytes, storedBytes } = imported
  return jsonLine({ ...importedMembers(argument, imported), newBytes, storedBytes })
}

/** One imported archive as a line of JSON. */
export function importedArchiveJson(argument: string, imported: ImportedArchive): string {
  return jsonLine({ ...importedMembers(argument, imported), archiveBytes: imported.archiveBytes })
}

function importedMembers(
  argument: string,
  imported: ImportedPath | ImportedArchive,
): Record<string, unknown> {
  const { files, directories, symlinks, bytes } = imported
  return {
    ...jsonBytes('path', argumentBytes(argument)),
    storePath: imported.storePath.toAbsolute(),
    ...nodeJson(imported.node),
    narSize: imported.narSize,
    narHash: new NixHash('sha256', imported.narSha256).toSri(),
    files,
    directories,
    symlinks,
    bytes,
  }
}

/** Adds up imports for the line at the end. */
export class ImportTotals {
  paths = 0
  #files = 0
  #bytes = 0
  #newBytes = 0
  #storedBytes = 0
  readonly #start = performance.now()

  add(imported: ImportedPath): void {
    this.paths++
    this.#files += imported.files
    this.#bytes += imported.bytes
    this.#newBytes += imported.newBytes
    this.#storedBytes += imported.storedBytes
  }

  /** `40,112 files · 146 MB in 0.9 s · 38 % was here already · 61 MB written`. */
  summary(): string {
    const parts = [
      counted(this.#files, 'file'),
      `${formatBytes(this.#bytes)} in ${formatDuration(performance.now() - this.#start)}`,
    ]
    if (this.#bytes > 0) {
      // Rounded down: 100 % is said only of what was here to the last byte.
      const known = Math.floor((100 * (this.#bytes - this.#newBytes)) / this.#bytes)
      parts.push(`${known} % was here already`)
    }
    return [...parts, `${formatBytes(this.#storedBytes)} written`].join(' · ')
  }
}
