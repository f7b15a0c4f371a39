import { randomBytes } from 'node:crypto'
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { EmbeddedStoreError, wrapError } from './errors.js'
import { syncFolder } from './format.js'
import { readU32 } from './record.js'

/**
 * What is looked at before LMDB is let near its files: where it cannot open them, or finds less in them than it
 * goes by, it takes the process down with it (lmdb 3.5.6).
 */

/** Room for the LMDB file in the address space, in bytes. It says nothing of the file's size. */
export const MAP_SIZE = 2 ** 36

/** Room for LMDB's table of readers, allocated for good: it is mapped, and a full disk under a map kills the process. */
const LOCK_FILE = 128 * 1024

/** What must be free for a new LMDB file with its empty tables, in bytes. */
const NEW_DATA_FILE = 256 * 1024

const META = {
  length: 168,
  pageFlags: 18,
  magic: 24,
  version: 28,
  mapSize: 40,
  pageSize: 48,
  freeFlags: 52,
  freeRoot: 88,
  mainRoot: 136,
  lastPage: 144,
  txn: 152,
}
const PAGE = 4096
const INTEGER_KEYS = 0x08
const NO_ROOT = 2n ** 64n - 1n
const P_META = 0x08
const MAGIC = 0xbeefc0de
const DATA_VERSION = 2
const ATTEMPTS = 3

/** How much this process may still write to the file system of a folder, in bytes. */
export function freeBytes(path: string): number {
  const { bavail, bfree, bsize } = statfsSync(path)
  return (process.geteuid?.() === 0 ? bfree : bavail) * bsize
}

/**
 * Makes the folder of the tables and the files in it, where they are missing.
 *
 * @returns true: this process may write them
 */
export function prepareTables(path: string): true {
  try {
    mkdirSync(path, { recursive: true })
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK)
    const lock = join(path, 'lock.mdb')
    if (existsSync(lock)) accessSync(lock, constants.R_OK | constants.W_OK)
    else makeWhole(lock, new Uint8Array(LOCK_FILE))
    const data = join(path, 'data.mdb')
    if (existsSync(data) && statSync(data).size > 0) {
      accessSync(data, constants.R_OK | constants.W_OK)
      return true
    }
    if (freeBytes(path) < NEW_DATA_FILE) {
      throw new EmbeddedStoreError('no-space', `no space left for new tables at ${path}`)
    }
    // A crash left it behind, before anything was in it.
    rmSync(data, { force: true })
    makeWhole(data, emptyDatabase())
    syncFolder(path)
    return true
  } catch (error) {
    throw wrapError(error, `write the tables at ${path}`)
  }
}

/**
 * Makes a file that is complete when it gets its name, and on the disk. Whoever comes first wins: one that is in use must
 * not be overwritten.
 */
function makeWhole(path: string, content: Uint8Array): void {
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`
  try {
    const descriptor = openSync(temporary, 'wx', 0o644)
    try {
      writeFileSync(descriptor, content)
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    linkSync(temporary, path)
  } catch (error) {
    if (!existsSync(path)) throw error
  } finally {
    rmSync(temporary, { force: true })
  }
}

/** What LMDB makes of an empty file: two pages that say that there is nothing. If it cannot, it crashes. */
function emptyDatabase(): Uint8Array {
  const file = Buffer.alloc(2 * PAGE)
  for (const [number, page] of [file.subarray(0, PAGE), file.subarray(PAGE)].entries()) {
    page.writeBigUInt64LE(BigInt(number), 0)
    page.writeUInt16LE(P_META, META.pageFlags)
    page.writeUInt32LE(MAGIC, META.magic)
    page.writeUInt32LE(DATA_VERSION, META.version)
    page.writeBigUInt64LE(BigInt(MAP_SIZE), META.mapSize)
    page.writeUInt32LE(PAGE, META.pageSize)
    page.writeUInt16LE(INTEGER_KEYS, META.freeFlags)
    page.writeBigUInt64LE(NO_ROOT, META.freeRoot)
    page.writeBigUInt64LE(NO_ROOT, META.mainRoot)
    page.writeBigUInt64LE(1n, META.lastPage)
  }
  return file
}

/**
 * Finds out whether tables can be opened for reading, and in which way.
 *
 * @returns whether this process could also write them
 */
export function prepareReading(path: string): boolean {
  const data = join(path, 'data.mdb')
  if (!existsSync(data)) {
    throw new EmbeddedStoreError('not-a-store', `there are no tables at ${path}: open the store for writing`)
  }
  try {
    accessSync(data, constants.R_OK)
    // Readers take a slot in the lock file, unless nobody can write here.
    const lock = join(path, 'lock.mdb')
    if (!isReadOnlyFileSystem(path)) {
      if (existsSync(lock)) accessSync(lock, constants.W_OK)
      else makeWhole(lock, new Uint8Array(LOCK_FILE))
    }
  } catch (error) {
    throw wrapError(error, `read the tables at ${path}`)
  }
  try {
    accessSync(data, constants.W_OK)
    return true
  } catch {
    return false
  }
}

function isReadOnlyFileSystem(path: string): boolean {
  try {
    accessSync(path, constants.W_OK)
    return false
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EROFS'
  }
}

/**
 * Checks the first pages of the LMDB file, and that the file holds the roots that they name. (The last page that they
 * name may rightly be missing.)
 *
 * @throws {@link EmbeddedStoreError} `damaged`
 */
export function checkDataFile(path: string): void {
  const file = join(path, 'data.mdb')
  if (!existsSync(file)) return
  let reason: string | undefined
  // Somebody may be committing at this very moment.
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    reason = whatIsWrong(file)
    if (reason === undefined) return
  }
  throw new EmbeddedStoreError(
    'damaged',
    `${file} is damaged: ${reason}. The tables can be made anew from the segments: rebuild the store`,
  )
}

function whatIsWrong(file: string): string | undefined {
  const descriptor = openSync(file, 'r')
  try {
    const first = readMeta(descriptor, 0)
    // LMDB makes an empty file a database.
    if (first === undefined) return fstatSync(descriptor).size === 0 ? undefined : 'it is too short'
    if (typeof first === 'string') return first
    const second = readMeta(descriptor, first.pageSize)
    if (second === undefined) return 'it is too short'
    if (typeof second === 'string') return second
    const { roots, pageSize } = second.txn > first.txn ? second : first
    const { size } = fstatSync(descriptor)
    const expected = Math.max(...roots.map((root) => (root + 1) * pageSize))
    return size < expected ? `it has ${size} bytes and a root that ends at ${expected}` : undefined
  } finally {
    closeSync(descriptor)
  }
}

/** Where the last page ends that LMDB has ever used, in bytes. Behind it the file may have more. */
export function lastPageEnd(descriptor: number): number {
  const first = readMeta(descriptor, 0)
  if (typeof first !== 'object') return 0
  const second = readMeta(descriptor, first.pageSize)
  const lastPage = Math.max(first.lastPage, typeof second === 'object' ? second.lastPage : 0)
  return (lastPage + 1) * first.pageSize
}

function readMeta(
  descriptor: number,
  offset: number,
):
  | {
      readonly pageSize: number
      readonly roots: readonly number[]
      readonly lastPage: number
      readonly txn: number
    }
  | string
  | undefined {
  const page = Buffer.alloc(META.length)
  if (readSync(descriptor, page, 0, META.length, offset) < META.length) return undefined
  const sound =
    (page.readUInt16LE(META.pageFlags) & P_META) !== 0 &&
    readU32(page, META.magic) === MAGIC &&
    (readU32(page, META.version) & 0xffff) === DATA_VERSION
  const pageSize = readU32(page, META.pageSize)
  const powerOfTwo = pageSize >= 512 && pageSize <= 65536 && (pageSize & (pageSize - 1)) === 0
  if (!sound || !powerOfTwo) return `no page of LMDB's at offset ${offset}`
  return {
    pageSize,
    roots: [META.freeRoot, META.mainRoot]
      .map((at) => page.readBigUInt64LE(at))
      .map((root) => (root === NO_ROOT ? 0 : Number(root))),
    lastPage: Number(page.readBigUInt64LE(META.lastPage)),
    txn: Number(page.readBigUInt64LE(META.txn)),
  }
}
