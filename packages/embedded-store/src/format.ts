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
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { crc32 } from 'node:zlib'
import { EmbeddedStoreError, wrapError } from './errors.js'

/** The version of the store format that this package reads and writes. */
export const FORMAT_VERSION = 1

/** Where the parts of a store lie. */
export interface StoreLayout {
  readonly root: string
  readonly formatFile: string
  readonly tables: string
  readonly segments: string
  /** Who is at work, for the garbage collector; and its own lock. */
  readonly leases: string
  /** Tables in the making, before they take the place of the others. */
  readonly newTables: string
}

export function layoutOf(root: string): StoreLayout {
  return {
    root,
    formatFile: join(root, 'FORMAT'),
    tables: join(root, 'tables'),
    segments: join(root, 'segments'),
    leases: join(root, 'leases'),
    newTables: join(root, 'tables.new'),
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

const PARTS = new Set(['tables', 'tables.new', 'segments', 'leases', 'reserve', 'lost+found'])
const TITLE = 'neve embedded store\n'

function formatText(salt: string): string {
  const text = `${TITLE}version ${FORMAT_VERSION}\nsalt ${salt}\n`
  return `${text}check ${checkOf(text)}\n`
}

function checkOf(text: string): string {
  return crc32(text).toString(16).padStart(8, '0')
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
  return parseFormat(text, layout)
}

function parseFormat(text: string, layout: StoreLayout): number {
  if (!text.startsWith(TITLE)) {
    throw new EmbeddedStoreError('not-a-store', `${layout.formatFile} is not the format file of a store`)
  }
  const match = /^([\s\S]*\n)check ([0-9a-f]{8})\n$/.exec(text)
  const expected = match === null ? undefined : checkOf(match[1]!)
  if (match !== null && match[2] !== expected) {
    throw damaged(layout, `its check is ${match[2]}, the text before it has ${expected}`)
  }
  // Every version keeps these two lines and the check, so that an older program can tell.
  const version = Number(/^[^\n]*\nversion (\d+)\n/.exec(text)?.[1])
  if (version > FORMAT_VERSION) {
    throw new EmbeddedStoreError(
      'newer-version',
      `the store at ${layout.root} has format version ${version}, this program reads up to ${FORMAT_VERSION}: update Neve`,
    )
  }
  const salt = /^[^\n]*\nversion 1\nsalt ([0-9a-f]{8})\ncheck [0-9a-f]{8}\n$/.exec(text)?.[1]
  if (salt === undefined) throw damaged(layout, 'expected the lines version, salt and check')
  return Number.parseInt(salt, 16)
}

function damaged(layout: StoreLayout, reason: string): EmbeddedStoreError {
  return new EmbeddedStoreError('damaged', `${layout.formatFile} is damaged: ${reason}`)
}

function createFormat(layout: StoreLayout): void {
  try {
    const isNew = mkdirSync(layout.root, { recursive: true }) !== undefined
    checkNothingElse(layout)
    mkdirSync(layout.tables, { recursive: true })
    mkdirSync(layout.segments, { recursive: true })
    mkdirSync(layout.leases, { recursive: true })
    const temporary = `${layout.formatFile}.${process.pid}.${randomBytes(4).toString('hex')}`
    try {
      const file = openSync(temporary, 'wx', 0o644)
      try {
        writeFileSync(file, formatText(randomBytes(4).toString('hex')))
        fsyncSync(file)
      } finally {
        closeSync(file)
      }
      // Two processes may make the store at once: the first link wins and both read the same salt.
      linkSync(temporary, layout.formatFile)
    } catch (error) {
      if (!existsSync(layout.formatFile)) throw error
    } finally {
      rmSync(temporary, { force: true })
    }
    syncFolder(layout.root)
    if (isNew) syncFolder(dirname(layout.root))
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : ''
    if (code === 'EEXIST' || code === 'ENOTDIR') {
      throw new EmbeddedStoreError('not-a-store', `${layout.root} is not a folder`, { cause: error })
    }
    throw wrapError(error, `make a store at ${layout.root}`)
  }
}

function checkNothingElse(layout: StoreLayout): void {
  const others = readdirSync(layout.root).filter((name) => !name.startsWith('FORMAT'))
  if (others.some((name) => !PARTS.has(name))) {
    throw new EmbeddedStoreError(
      'not-a-store',
      `${layout.root} is not empty and not a store: name an empty or absent folder`,
    )
  }
  // Somebody who makes the same store at this moment may be further on by now.
  const orphans = others.includes('segments') && readdirSync(layout.segments).length > 0
  if (orphans && !existsSync(layout.formatFile)) {
    throw new EmbeddedStoreError(
      'not-a-store',
      `${layout.root} has segments but no FORMAT file: put the file back from a backup`,
    )
  }
}
