import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Folders whose children are packages of the workspace. */
const PACKAGE_PARENTS = ['packages', 'apps']

/** Folders of a package that its build neither reads nor may leave a trace in. */
const NOT_BUILT_FROM = new Set(['node_modules', 'dist', 'generated', 'test', 'coverage', '.turbo'])

/**
 * The workspace's package folders that exist, relative to the root, in a fixed order.
 *
 * @param {string} root the workspace's root
 * @returns {string[]}
 */
export function packageFolders(root) {
  return PACKAGE_PARENTS.flatMap((parent) =>
    existsSync(join(root, parent))
      ? readdirSync(join(root, parent))
          .sort()
          .map((name) => `${parent}/${name}`)
          .filter((folder) => existsSync(join(root, folder, 'package.json')))
      : [],
  )
}

/**
 * Stands for everything that decides what an installation puts in place: the lockfile, the manifests, the package
 * manager's configuration, and the platform that native code is for.
 *
 * @param {string} root the workspace's root
 * @returns {string} hex
 */
export function installFingerprint(root) {
  const manifests = [...packageFolders(root), 'benchmarks'].map((folder) => `${folder}/package.json`)
  const files = ['pnpm-lock.yaml', 'pnpm-workspace.yaml', '.npmrc', 'package.json', ...manifests]
  const platform = `${process.platform} ${process.arch} ${process.versions.modules}`
  return digestFiles(
    root,
    files.filter((file) => existsSync(join(root, file))),
    platform,
  )
}

/**
 * Stands for everything that the builds of all packages read.
 *
 * @param {string} root the workspace's root
 * @returns {string} hex
 */
export function buildFingerprint(root) {
  const shared = ['turbo.json', 'tsconfig.base.json', 'tsup.base.ts'].filter((file) =>
    existsSync(join(root, file)),
  )
  const sources = packageFolders(root).flatMap((folder) => buildInputs(root, folder))
  return digestFiles(root, [...shared, ...sources], installFingerprint(root))
}

/**
 * @param {string} root
 * @param {string} folder relative to the root
 * @returns {string[]} relative to the root, sorted
 */
function buildInputs(root, folder) {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = `${folder}/${entry.name}`
      if (entry.isDirectory()) return NOT_BUILT_FROM.has(entry.name) ? [] : buildInputs(root, path)
      return entry.isFile() && !entry.name.endsWith('.md') ? [path] : []
    })
}

/**
 * Hashes contents, not times: a fresh checkout of the same sources has the same fingerprint.
 *
 * @param {string} root
 * @param {string[]} files relative to the root
 * @param {string} salt
 */
function digestFiles(root, files, salt) {
  const hash = createHash('sha256').update(salt)
  for (const file of files) {
    const content = readFileSync(join(root, file))
    hash.update(`\0${file}\0${content.length}\0`).update(content)
  }
  return hash.digest('hex')
}
