// Trees to import.
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ContentSource, Seeded } from './content.mjs'
import { run } from './process.mjs'
import { SCALE, scaled } from './settings.mjs'

const FILES = 40_000
const FOLDERS = 400
const FOLDERS_PER_GROUP = 20
const SMALLEST = 100
const LARGEST = 16 * 1024
/** With it the sizes have a mean of 3,650 bytes, and 40,000 of them 146 MB; 1 would be exactly log-uniform. */
const SKEW = 0.834
const TEXT_SHARE = 0.6
/** What is imported beside made-up files: a real tree of many kinds of files. */
const SHARE = '/usr/share'

/**
 * Writes the tree of small files: 40,000 of them, 0.1 to 16 KiB, in 400 folders.
 *
 * @param {string} root made here
 * @returns {{ files: number, bytes: number }}
 */
export function writeSmallFiles(root) {
  const numbers = new Seeded(1)
  const source = new ContentSource(2)
  const files = scaled(FILES)
  const folders = scaled(FOLDERS)
  const paths = Array.from({ length: folders }, (_, index) => {
    const group = `group-${String(Math.floor(index / FOLDERS_PER_GROUP)).padStart(2, '0')}`
    const member = index % FOLDERS_PER_GROUP
    return member === 0 ? join(root, group) : join(root, group, `folder-${String(member).padStart(2, '0')}`)
  })
  for (const path of paths) mkdirSync(path, { recursive: true })
  let bytes = 0
  for (let index = 0; index < files; index++) {
    const length = Math.round(SMALLEST * (LARGEST / SMALLEST) ** (numbers.next() ** SKEW))
    const isText = numbers.next() < TEXT_SHARE
    const name = `${String(index).padStart(6, '0')}.${isText ? 'txt' : 'bin'}`
    const content = isText ? source.text(length) : source.random(length)
    const mode = index % 16 === 0 ? 0o755 : 0o644
    writeFileSync(join(/** @type {string} */ (paths[index % folders]), name), content, { mode })
    bytes += length
  }
  return { files, bytes }
}

/**
 * Copies /usr/share, or that part of its entries that the scale says.
 *
 * @param {string} root made here
 * @returns {Promise<boolean>} false, and a line for a person, when there is none
 */
export async function copyShare(root) {
  if (!existsSync(SHARE)) {
    console.log(`(no ${SHARE}: skipped)`)
    return false
  }
  const entries = readdirSync(SHARE).filter(
    (_, index) => SCALE >= 1 || Math.ceil((index + 1) * SCALE) > Math.ceil(index * SCALE),
  )
  mkdirSync(root)
  await run('cp', ['-a', '-t', root, '--', ...entries.map((name) => join(SHARE, name))])
  return true
}
