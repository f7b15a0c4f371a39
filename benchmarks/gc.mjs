// Finding and collecting garbage in a store of many small things. Every other store path is kept, by one root and a chain
// of references. Pages of the tables count as resident, though the kernel may take them back: what the process itself
// holds is shown beside it.
import { createHash } from 'node:crypto'
import { Directory, PathComponent, SymlinkTarget } from '@neve/castore-model'
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
