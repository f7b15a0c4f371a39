// Resident memory while the command handles one large file, half of it random and half text. Pages of mapped files (the
// tables, the program itself) count as resident, though the kernel may take them back at any time: what the process
// itself holds, anonymous and shared memory, is shown beside it.
import { existsSync } from 'node:fs'
import { ContentSource } from './lib/content.mjs'
import { MemoryWatch } from './lib/memory.mjs'
import { neve } from './lib/process.mjs'
import { scaled } from './lib/settings.mjs'
import { heading, mebibytes, printColumns, seconds, size } from './lib/table.mjs'
import { withWorkDir } from './lib/work-dir.mjs'

const BYTES = scaled(4 * 2 ** 30, 1 << 20)
const LIMIT = 256 * 2 ** 20
/** How much more than in the first third may be resident in the last: a heap is not collected at once. */
const NOISE = 16 * 2 ** 20

await withWorkDir(async (dir) => {
  if (!existsSync('/proc/self/status')) {
    console.log('(no /proc: skipped)')
    return
  }
  heading('resident memory', `one file of ${size(BYTES)}, sampled every 20 ms`)
  const file = dir.fresh('large')
  new ContentSource(5).writeFile(file, BYTES, 'mixed')
  const store = dir.fresh('store')
  const lines = [
    [
      'job',
      'time',
      'peak',
      'of it own',
      'first third',
      'last third',
      'own, first',
      'own, last',
      'target',
      '',
    ],
  ]
  const { stdout } = await measure('neve import', ['import', file])
  const storePath = stdout.trim()
  dir.remove(file)
  await measure('neve nar >/dev/null', ['nar', storePath], { discard: true })
  await measure('neve nar --zstd >/dev/null', ['nar', '--zstd', storePath], { discard: true })
  const nar = dir.fresh('nar')
  await measure('neve nar -o FILE', ['nar', '-o', nar, storePath])
  dir.remove(nar)
  const copy = dir.fresh('copy')
  await measure('neve export', ['export', storePath, copy])
  dir.remove(copy)
  printColumns(lines)

  /**
   * @param {string} job
   * @param {readonly string[]} args
   * @param {{ readonly discard?: boolean }} [options]
   */
  async function measure(job, args, options) {
    dir.settle()
    const watch = new MemoryWatch()
    const done = await neve(store, args, { ...options, watch: (pid) => watch.start(pid) })
    const { peak, peakOwn, first, last, firstOwn, lastOwn } = watch.result()
    const met = peak < LIMIT && last - first <= NOISE
    lines.push([
      job,
      seconds(done.seconds),
      ...[peak, peakOwn, first, last, firstOwn, lastOwn].map(mebibytes),
      `< ${mebibytes(LIMIT)}, flat`,
      met ? 'met' : 'MISSED',
    ])
    return done
  }
})
