import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { packageFolders } from '../scripts/fingerprint.mjs'

export const ROOT = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '')

export interface Manifest {
  readonly name: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

export interface WorkspacePackage {
  /** Relative to the root. */
  readonly folder: string
  readonly manifest: Manifest
  /** TypeScript of `src`, relative to the folder, without what the build generates. */
  readonly sources: readonly string[]
}

export function workspacePackages(): readonly WorkspacePackage[] {
  return packageFolders(ROOT).map((folder) => ({
    folder,
    manifest: JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8')) as Manifest,
    sources: filesBelow(join(ROOT, folder, 'src'))
      .filter((file) => file.endsWith('.ts') && !file.startsWith('generated/'))
      .map((file) => `src/${file}`),
  }))
}

/** Files of a folder at any depth, relative to it, sorted; none if there is no such folder. */
export function filesBelow(folder: string): readonly string[] {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
      .sort()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
