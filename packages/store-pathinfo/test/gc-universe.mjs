// A world of packages that have much in common: the same files in several folders, the same folders in several packages,
// and references. Everything follows from a package's number.
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { B3Digest, Directory, PathComponent } from '@neve/castore-model'
import { StorePath } from '@neve/nix-compat'

export const PACKAGES = 28

function random(seed) {
  let state = createHash('sha256').update(seed).digest()
  let at = 0
  return (limit) => {
    if (at + 4 > state.length) {
      state = createHash('sha256').update(state).digest()
      at = 0
    }
    at += 4
    return state.readUInt32LE(at - 4) % limit
  }
}

/** Content of a file: one in forty is cut into chunks. */
function fileContent(number) {
  const length = number % 40 === 13 ? 700_000 : 50 + ((number * 977) % 6000)
  return createHash('shake256', { outputLength: length }).update(`file ${number}`).digest()
}

const files = new Map()
function file(number) {
  if (!files.has(number)) {
    const content = fileContent(number)
    files.set(number, { content, digest: B3Digest.of(content) })
  }
  return files.get(number)
}

const folders = new Map()
/** A folder at a depth: of 40 files, 12 lowest folders, 8 above these. */
function folder(depth, number) {
  const key = `${depth}.${number}`
  if (!folders.has(key)) {
    const next = random(`folder ${key}`)
    const children = new Map()
    for (let i = 0; i < 2 + next(4); i++) children.set(`file-${i}`, { kind: 'file', number: next(40) })
    if (depth > 0) {
      for (let i = 0; i < 1 + next(3); i++) {
        children.set(`folder-${i}`, { kind: 'folder', depth: depth - 1, number: next(depth === 1 ? 12 : 8) })
      }
    }
    folders.set(key, build(children))
  }
  return folders.get(key)
}

function build(children) {
  const entries = [...children].map(([name, child]) => {
    const component = PathComponent.from(Buffer.from(name))
    if (child.kind === 'folder')
      return { name: component, node: folder(child.depth, child.number).directory.toNode() }
    const { content, digest } = file(child.number)
    return {
      name: component,
      node: { kind: 'file', digest, size: BigInt(content.length), executable: false },
    }
  })
  return { children, directory: Directory.fromEntries(entries) }
}

/** A package: its tree, and the numbers of those that it references. */
export function packageOf(number) {
  const next = random(`package ${number}`)
  const children = new Map([
    ['own', { kind: 'file', number: 100 + number }],
    ['shared', { kind: 'folder', depth: 2, number: next(6) }],
    ['other', { kind: 'folder', depth: 1, number: next(8) }],
  ])
  const references = number === 0 ? [] : [...new Set([next(number), next(number)])].filter(() => next(3) > 0)
  return { number, references, ...build(children) }
}

export function pathInfoOf(number) {
  const { directory, references } = packageOf(number)
  const storePath = pathOf(number)
  return {
    storePath,
    node: directory.toNode(),
    references: references.map(pathOf).sort(StorePath.compare),
    narSize: 1000n + BigInt(number),
    narSha256: new Uint8Array(createHash('sha256').update(`nar ${number}`).digest()),
    signatures: [],
    deriver: undefined,
    ca: undefined,
  }
}

export function pathOf(number) {
  return new StorePath(createHash('sha1').update(`path ${number}`).digest(), `package-${number}`)
}

/** What a package needs, itself last. */
export function closureOf(number, seen = new Set()) {
  if (seen.has(number)) return []
  seen.add(number)
  return [...packageOf(number).references.flatMap((one) => closureOf(one, seen)), number]
}

/** Puts a tree as an uploader does: what is there already is passed over. @param pause in milliseconds */
export async function putTree({ blobs, directories }, tree, pause = 0) {
  const putter = directories.putMultipleStart()
  const visit = async ({ children, directory }) => {
    for (const child of children.values()) {
      if (child.kind === 'folder') await visit(folder(child.depth, child.number))
      else {
        const { content, digest } = file(child.number)
        if (!(await blobs.has(digest))) await blobs.put(content)
      }
    }
    await putter.put(directory)
  }
  await visit(tree)
  // Between what it goes by and what leans on that, time goes by.
  await new Promise((resolve) => setTimeout(resolve, pause))
  await putter.close()
}

/** Reads a package back and compares it with what it must be; throws with the place of the first difference. */
export async function checkPackage({ blobs, directories, pathInfos }, number) {
  for (const one of closureOf(number)) {
    const info = await pathInfos.get(pathOf(one).digest)
    if (info === undefined) throw new Error(`package ${number}: the path info of ${one} is missing`)
    const visit = async ({ children, directory }, where) => {
      const digest = directory.digest()
      const found = await directories.get(digest)
      if (found === undefined) throw new Error(`package ${number}: directory ${where} is missing (${digest})`)
      for (const [name, child] of children) {
        if (child.kind === 'folder') await visit(folder(child.depth, child.number), `${where}/${name}`)
        else {
          const { content, digest } = file(child.number)
          const read = await blobs.get(digest)
          if (read === undefined)
            throw new Error(`package ${number}: file ${where}/${name} is missing (${digest})`)
          if (Buffer.compare(read, content) !== 0)
            throw new Error(`package ${number}: file ${where}/${name} differs`)
        }
      }
    }
    await visit(packageOf(one), `${one}`)
  }
}

/** Writes the tree of a package to the disk. */
export function writeTree(path, { children } = {}) {
  mkdirSync(path, { recursive: true })
  for (const [name, child] of children) {
    if (child.kind === 'folder') writeTree(join(path, name), folder(child.depth, child.number))
    else writeFileSync(join(path, name), file(child.number).content)
  }
}
