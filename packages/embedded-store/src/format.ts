import { randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { EmbeddedStoreError, wrapError } from './errors.js'

/** The version of the store format that this package reads and writes. */
export const FORMAT_VERSION = 1

/** Where the parts of a store lie. */
export interface StoreLayout {
  readonly root: string
  readonly formatFile: string
  readonly tables: string
  readonly segments: string
}

export function layoutOf(root: string): StoreLayout {
  return {
    root,
    formatFile: join(root, 'FORMAT'),
    tables: join(root, 'tables'),
    segments: join(root, 'segments'),
  }
}

/** Flushes a folder's own entries to disk. */
export function syncFolder(path: string): void {
  const folder = openSync(path, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

/**
 * Makes the store's folder where there is none, checks its version, and returns its salt: a random number of this
 * store, from which the checksums of its records start, so that no bytes from outside can pass for a record.
 */
export function openFormat(layout: StoreLayout, create: boolean): number {
  if (!existsSync(layout.formatFile)) {
    if (!create) {
      throw new EmbeddedStoreError('not-a-store', `there is no store at ${layout.root}`)
    }
    createFormat(layout)
  }
  let text: string
  try {
    text = readFileSync(layout.formatFile, 'latin1')
  } catch (error) {
    throw wrapError(error, `read ${layout.formatFile}`)
  }
  const match = /^neve embedded store\nversion (\d{1,9})\n(?:salt ([0-9a-f]{8})\n)?/.exec(text)
  if (match === null) {
    throw new EmbeddedStoreError('not-a-store', `${layout.formatFile} is not the format file of a store`)
  }
  const version = Number(match[1])
  if (version > FORMAT_VERSION) {
    throw new EmbeddedStoreError(
      'newer-version',
      `the store at ${layout.root} has format version ${version}, this program reads up to ${FORMAT_VERSION}: update Neve`,
    )
  }
  if (match[2] === undefined) {
    throw new EmbeddedStoreError('not-a-store', `${layout.formatFile} has no salt`)
  }
  return Number.parseInt(match[2], 16)
}

function createFormat(layout: StoreLayout): void {
  try {
    mkdirSync(layout.root, { recursive: true })
    const others = readdirSync(layout.root).filter((name) => !name.startsWith('FORMAT'))
    if (others.some((name) => name !== 'tables' && name !== 'segments' && name !== 'lost+found')) {
      throw new EmbeddedStoreError(
        'not-a-store',
        `${layout.root} is not empty and not a store: name an empty or absent folder`,
      )
    }
    if (others.includes('segments') && readdirSync(layout.segments).length > 0) {
      throw new EmbeddedStoreError(
        'not-a-store',
        `${layout.root} has segments but no FORMAT file: put the file back from a backup`,
      )
    }
    mkdirSync(layout.tables, { recursive: true })
    mkdirSync(layout.segments, { recursive: true })
    const temporary = `${layout.formatFile}.${process.pid}.${randomBytes(4).toString('hex')}`
    const file = openSync(temporary, 'wx', 0o644)
    try {
      const salt = randomBytes(4).toString('hex')
      writeSync(file, `neve embedded store\nversion ${FORMAT_VERSION}\nsalt ${salt}\n`)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    try {
      // Two processes may make the store at once: the first link wins and both read the same salt.
      linkSync(temporary, layout.formatFile)
    } catch (error) {
      if (!existsSync(layout.formatFile)) throw error
    } finally {
      rmSync(temporary, { force: true })
    }
    syncFolder(layout.root)
  } catch (error) {
    throw wrapError(error, `make a store at ${layout.root}`)
  }
}
