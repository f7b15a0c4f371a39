// Finding and collecting garbage in a store of many small things. Every other store path is kept, by one root and a chain
// of references. Pages of the tables count as resident, though the kernel may take them back: what the process itself
// holds is shown beside it.
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { B3Digest, Directory, PathComponent, SymlinkTarget } from '@neve/castore-model'
import { EmbeddedStore } from '@neve/embedded-store'
import { StorePath } from '@neve/nix-compat'
import { EmbeddedPathInfoService } from '@neve/store-pathinfo'
import { setRoot } from '@neve/store-pathinfo/gc'
import { MemoryWatch } from './lib/memory.mjs'
import { neve } from './lib/process.mjs'
import { scaled } from './lib/settings.mjs'
import { heading, mebibytes, printTable, seconds } from './lib/table.mjs'
import { withWorkDir } from './lib/work-dir.mjs'

const PATHS = 2 * scaled(50_000, 10)
/** Directories of a path: one, and those in it. */
const DIRECTORIES = 20
/** So many paths are written at once. */
const BATCH = 2000
const TIME_LIMIT = 10
const MEMORY_LIMIT = 512 * 2 ** 20
/** What is collected while others import: contents of 16 KiB, of which every third is kept. */
const CONTENTS = scaled(60_000, 300)
const CONTENT_SIZE = 16 * 1024
/** How much longer an import may take while garbage is collected. */
const SLOWER = 1.3
const FILES = scaled(4000, 20)

await withWorkDir(async (dir) => {
  heading('garbage', `${PATHS} path infos, ${PATHS * DIRECTORIES} directories, half of them garbage`)
  const store = dir.fresh('store')
  const engine = await EmbeddedStore.open(store)
  await fill(engine).finally(() => engine.close())
  dir.settle()
  const rows = []
  for (const [job, args] of /** @type {const} */ ([
    ['dry run', ['--dry-run']],
    ['collection', []],
  ])) {
    const memory = new MemoryWatch()
    const { seconds: time, stdout } = await neve(store, ['gc', ...args, '--older-than', '0s', '--json'], {
      watch: (pid) => memory.start(pid),
    })
    const { paths, directories } = JSON.parse(stdout)
    if (paths.length !== PATHS / 2 || directories !== (PATHS / 2) * DIRECTORIES) {
      throw new Error(`found ${paths.length} paths and ${directories} directories`)
    }
    const { peak, peakOwn } = memory.result()
    const limited = job === 'dry run'
    rows.push({
      job: `${job}: time`,
      ours: seconds(time),
      ...(limited && { target: `< ${seconds(TIME_LIMIT)}`, met: time < TIME_LIMIT }),
    })
    rows.push({
      job: `${job}: resident, of it own`,
      ours: mebibytes(peak),
      peer: mebibytes(peakOwn),
      ...(limited && { target: `< ${mebibytes(MEMORY_LIMIT)}`, met: peak < MEMORY_LIMIT }),
    })
  }
  printTable(rows)
})

await withWorkDir(async (dir) => {
  heading('imports beside a collection', `${FILES} files each, ${CONTENTS} contents of which a third is kept`)
  const store = dir.fresh('store')
  const engine = await EmbeddedStore.open(store)
  await fillContents(engine).finally(() => engine.close())
  let trees = 0
  const imported = async () => {
    const tree = dir.fresh(`tree-${trees++}`)
    mkdirSync(tree)
    for (let i = 0; i < FILES; i++) writeFileSync(join(tree, `${i}`), randomBytes(3000))
    dir.settle()
    const start = performance.now()
    const { seconds: time } = await neve(store, ['import', tree])
    return { start, end: performance.now(), time }
  }
  const alone = []
  for (let i = 0; i < 4; i++) alone.push((await imported()).time)
  const began = performance.now()
  let ended = Number.POSITIVE_INFINITY
  const gc = neve(store, ['gc', '--older-than', '0s', '--wait', '5m', '--json']).then(({ stdout }) => {
    ended = performance.now()
    return JSON.parse(stdout)
  })
  const beside = []
  while (ended === Number.POSITIVE_INFINITY) {
    const one = await imported()
    if (one.start > began && one.end < ended) beside.push(one.time)
  }
  const { freedBytes } = await gc
  if (freedBytes < (CONTENTS * CONTENT_SIZE) / 3) throw new Error(`only ${freedBytes} bytes were given back`)
  const ratio = median(beside) / median(alone)
  printTable([
    {
      job: `an import, beside and alone (${beside.length} and ${alone.length})`,
      ours: seconds(median(beside)),
      peer: seconds(median(alone)),
      target: `< ${SLOWER}x`,
      met: ratio < SLOWER,
    },
    { job: 'the collection', ours: seconds((ended - began) / 1000), peer: mebibytes(freedBytes) },
  ])
})

/** @param {readonly number[]} times */
function median(times) {
  return [...times].sort((a, b) => a - b)[times.length >> 1] ?? Number.NaN
}

/** @param {EmbeddedStore} engine */
async function fillContents(engine) {
  const session = engine.write()
  const kept = []
  for (let i = 0; i < CONTENTS; i++) {
    const content = randomBytes(CONTENT_SIZE)
    const digest = B3Digest.of(content)
    session.appendContent(digest.bytes, content)
    if (i % 3 === 0) {
      const node = /** @type {const} */ ({
        kind: 'file',
        digest,
        size: BigInt(CONTENT_SIZE),
        executable: false,
      })
      kept.push({ name: PathComponent.from(`${i}`), node })
    }
    if (i % 1000 === 0) await session.room()
  }
  const directory = Directory.fromEntries(kept)
  session.put('directories', directory.digest().bytes, directory.encode())
  await session.commit()
  await setRoot(engine, { name: 'third', target: directory.digest() })
}

/** @param {EmbeddedStore} engine */
async function fill(engine) {
  const pathInfos = new EmbeddedPathInfoService(engine)
  const narSha256 = new Uint8Array(32)
  for (let start = 0; start < PATHS; start += BATCH) {
    const session = engine.write()
    const infos = []
    for (let number = start; number < Math.min(PATHS, start + BATCH); number++) {
      const leaves = Array.from({ length: DIRECTORIES - 1 }, (_, i) =>
        Directory.fromEntries([
          {
            name: PathComponent.from('link'),
            node: { kind: 'symlink', target: SymlinkTarget.from(`${number}.${i}`) },
          },
        ]),
      )
      const root = Directory.fromEntries(
        leaves.map((leaf, i) => ({ name: PathComponent.from(`folder-${i}`), node: leaf.toNode() })),
      )
      for (const directory of [...leaves, root]) {
        session.put('directories', directory.digest().bytes, directory.encode())
      }
      infos.push({
        storePath: pathOf(number),
        node: root.toNode(),
        references: number < 2 ? [] : [pathOf(number - 2)],
        narSize: 1000n,
        narSha256,
        signatures: [],
        deriver: undefined,
        ca: undefined,
      })
    }
    await session.commit()
    await Promise.all(infos.map((info) => pathInfos.put(info)))
  }
  await setRoot(engine, { name: 'every-other', target: pathOf(PATHS - 2) })
}

/** @param {number} number */
function pathOf(number) {
  return new StorePath(createHash('sha1').update(`path ${number}`).digest(), `package-${number}`)
}
