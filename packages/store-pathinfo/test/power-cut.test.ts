import { spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { diskShim, memoryFolder } from './disk/disk-shim.js'
import { expectPromises } from './disk/promises.js'
import { type Choose, RecordedDisk } from './disk/recorded-disk.js'
import { live, writeTrees } from './disk/scenario.mjs'

/**
 * A store is made, imported into, signed, collected, compacted, copied and rebuilt; all that is written and synced is
 * recorded, and then the power is cut after every step of it. What is found then, as far as it was not synced:
 *
 * - of a file, every sector of 512 or 4096 bytes as it was after any of the writes to it, each for itself, so that writes
 *   are lost, torn and out of order; and its length as it was at any time, each for itself;
 * - of a folder, any beginning of what was done to its names, each folder for itself. Syncing a file does not sync its name.
 *
 * NEVE_POWER_CUTS says how many disks are made up at each step; NEVE_POWER_SEED makes up the same ones again.
 */
const CHILD = fileURLToPath(new URL('./disk/record-child.mjs', import.meta.url))
const CUTS = Number(process.env['NEVE_POWER_CUTS'] ?? 2)
const SEED = Number(process.env['NEVE_POWER_SEED'] ?? randomInt(2 ** 31))
const SECTORS = [512, 4096]

/** mulberry32: small, and the same everywhere. */
function randomOf(seed: number): Choose {
  let state = seed >>> 0
  return (least, most) => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return least + (((t ^ (t >>> 14)) >>> 0) % (most - least + 1))
  }
}

const nothingMore: Choose = (least) => least
const everything: Choose = (_, most) => most

it(`keeps what it acknowledged when the power is cut (seed ${SEED})`, async (context) => {
  const folder = memoryFolder()
  const env = diskShim(context, folder)
  const [place, trees, log] = ['place', 'trees', 'log'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ]
  mkdirSync(place)
  writeTrees(trees)
  const { ino } = statSync(place)
  const recorded = spawnSync(process.execPath, [CHILD, place, trees, log], { env, encoding: 'utf8' })
  expect(recorded.stderr).toBe('')
  const disk = new RecordedDisk(readFileSync(log), ino)
  const random = randomOf(SEED)
  let disks = 0
  let steps = 0
  const look = async (choose: Choose, what: string): Promise<void> => {
    const cut = join(folder, 'cut')
    disk.cut(cut, SECTORS[random(0, 1)]!, choose)
    try {
      await expectPromises(cut, disk.promises)
      // And it goes on from there.
      if (disks++ % 20 === 0) {
        rmSync(join(cut, 'snapshot'), { recursive: true, force: true })
        await live(cut, trees)
      }
    } catch (error) {
      throw new Error(`after step ${steps}, ${what}: ${String(error)}`, { cause: error })
    }
    rmSync(cut, { recursive: true })
  }
  for (let done = disk.step(); done !== undefined; done = disk.step()) {
    steps++
    // Where something has just become certain, what follows from that is tried from one end to the other.
    if ('BEA'.includes(done)) {
      await look(nothingMore, 'with nothing that was not synced')
      await look(everything, 'with all that was written')
    }
    for (let i = 0; i < CUTS; i++) await look(random, 'with some of what was not synced')
  }
  console.log(`seed ${SEED}: ${disks} disks after ${steps} steps`)
  expect(disk.promises.length).toBe(8)
  expect(disks).toBeGreaterThan(300)
}, 0)
