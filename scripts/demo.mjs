// What `npm start` shows: a sample tree goes into the store and is proved to be there, byte for byte as Nix names it.
import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { defaultStoreAddress, openStore } from '../packages/store-pathinfo/dist/index.js'

/** @typedef {import('../packages/store-pathinfo/dist/index.js').Store} Store */
/** @typedef {import('../packages/store-pathinfo/dist/index.js').ImportedPath} ImportedPath */
/** @typedef {import('../packages/castore-model/dist/index.js').Node} Node */

const SAMPLE = fileURLToPath(new URL('../samples/hello-neve', import.meta.url))

/**
 * Imports the sample into the default store and prints a report.
 *
 * @param {{ write(text: string): unknown }} output
 * @returns what was imported, and whether the stored contents have the NAR hash of the imported ones
 */
export async function demo(output) {
  const store = await openStore()
  try {
    return await report(store, output)
  } finally {
    await store.close()
  }
}

/**
 * @param {Store} store
 * @param {{ write(text: string): unknown }} output
 */
async function report(store, output) {
  const added = await store.importPath(SAMPLE)
  const storePath = added.storePath.toAbsolute()
  const tree = await readTree(store, added.node)
  const rendered = await hashNar(store, storePath)
  const expected = sri(added.narSha256)
  const verified = rendered.hash === expected && rendered.size === added.narSize

  const lines = [
    'Neve stores files and folders by their content, and names them as Nix does.',
    '',
    ...table([
      ['Imported', SAMPLE],
      ['Into', `${defaultStoreAddress()} (NEVE_STORE names another place)`],
      ['Store path', storePath],
      ['Root digest', digestOf(added.node)],
      ['Contents', contents(added)],
      ['Kept once', keptOnce(tree, added.bytes)],
      ['Written now', written(added)],
      ['As a NAR', `${count(added.narSize, 'byte')}, ${expected}`],
    ]),
    '',
    ...tree.lines,
    '',
    verified
      ? `NAR hash verified: ${expected}`
      : `NAR hash WRONG: the stored contents give ${rendered.hash} (${count(rendered.size, 'byte')})`,
    '',
    'Next, try',
    `  npm start -- ls -l ${storePath}`,
    `  npm start -- cat ${storePath}/share/doc/snow.txt`,
    '  npm start -- import PATH-OF-YOUR-OWN',
  ]
  output.write(`${lines.join('\n')}\n`)
  return { storePath, verified }
}

/**
 * The NAR as the store renders it from what it holds, hashed here.
 *
 * @param {Store} store
 * @param {string} storePath
 */
async function hashNar(store, storePath) {
  const sha256 = createHash('sha256')
  let size = 0n
  for await (const piece of store.nar(storePath)) {
    sha256.update(piece)
    size += BigInt(piece.length)
  }
  return { hash: sri(sha256.digest()), size }
}

/**
 * Walks a tree in the store.
 *
 * @param {Store} store
 * @param {Node} root
 */
async function readTree(store, root) {
  /** @type {string[]} */
  const lines = []
  /** @type {Map<string, bigint>} */
  const files = new Map()
  /** @type {Set<string>} */
  const folders = new Set()

  /**
   * @param {Node} node
   * @param {string} name
   * @param {string} indent
   * @param {boolean} inCopy whether a folder above was listed before
   */
  const visit = async (node, name, indent, inCopy) => {
    if (node.kind === 'symlink') {
      lines.push(row('link', '', `${indent}${name} -> ${node.target}`))
      return
    }
    const known = node.kind === 'file' ? files.has(node.digest.key) : folders.has(node.digest.key)
    const mark = known && !inCopy ? '   = the same as above, kept once' : ''
    if (node.kind === 'file') {
      files.set(node.digest.key, node.size)
      lines.push(
        row(node.executable ? 'exec' : 'file', node.size.toLocaleString('en-US'), `${indent}${name}${mark}`),
      )
      return
    }
    folders.add(node.digest.key)
    lines.push(row('dir', '', `${indent}${name}/${mark}`))
    const directory = await store.directories.get(node.digest)
    if (directory === undefined) throw new Error(`${name}: the store has no directory ${node.digest}`)
    for (const entry of directory.entries) {
      await visit(entry.node, String(entry.name), `${indent}  `, known)
    }
  }

  await visit(root, 'hello-neve', '', false)
  const distinctBytes = Number([...files.values()].reduce((sum, size) => sum + size, 0n))
  return { lines, distinctFiles: files.size, distinctFolders: folders.size, distinctBytes }
}

/** @param {ImportedPath} added */
function contents({ files, directories, symlinks, bytes }) {
  return `${count(files, 'file')}, ${count(directories, 'folder')}, ${count(symlinks, 'link')}; ${count(bytes, 'byte')}`
}

/**
 * @param {{ distinctFiles: number, distinctFolders: number, distinctBytes: number }} tree
 * @param {number} bytes
 */
function keptOnce({ distinctFiles, distinctFolders, distinctBytes }, bytes) {
  const saved = bytes - distinctBytes
  const share = bytes === 0 ? 0 : Math.round((100 * saved) / bytes)
  return (
    `${count(distinctFiles, 'different file')}, ${count(distinctFolders, 'different folder')}; ` +
    `deduplication saves ${count(saved, 'byte')} (${share} %)`
  )
}

/** @param {ImportedPath} added */
function written({ newBytes, storedBytes }) {
  if (newBytes === 0) return 'nothing: all of it was in the store already'
  return `${count(newBytes, 'new byte')}, ${storedBytes.toLocaleString('en-US')} on disk after compression`
}

/** @param {Node} node */
function digestOf(node) {
  return node.kind === 'symlink' ? 'none: a link' : node.digest.toSri()
}

/** @param {Uint8Array} sha256 */
function sri(sha256) {
  return `sha256-${Buffer.from(sha256).toString('base64')}`
}

/**
 * @param {number | bigint} amount
 * @param {string} unit in the singular
 */
function count(amount, unit) {
  return `${amount.toLocaleString('en-US')} ${unit}${Number(amount) === 1 ? '' : 's'}`
}

/**
 * @param {string} kind
 * @param {string} size
 * @param {string} name
 */
function row(kind, size, name) {
  return `  ${kind.padEnd(4)} ${size.padStart(7)}  ${name}`
}

/** @param {[string, string][]} rows */
function table(rows) {
  return rows.map(([label, text]) => `  ${label.padEnd(12)} ${text}`)
}
