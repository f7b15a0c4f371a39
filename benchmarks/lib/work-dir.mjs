// A folder for one benchmark, which goes when the benchmark ends, however it ends.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A scratch folder under `TMPDIR`: see {@link withWorkDir}. */
export class WorkDir {
  #count = 0

  /** @param {string} path */
  constructor(path) {
    this.path = path
  }

  /**
   * A path in the folder that nothing has.
   *
   * @param {string} name
   */
  fresh(name) {
    const folder = join(this.path, String(this.#count++))
    mkdirSync(folder)
    return join(folder, name)
  }

  /**
   * Removes a tree, write-protected folders included.
   *
   * @param {string} path
   */
  remove(path) {
    spawnSync('chmod', ['-R', 'u+w', path], { stdio: 'ignore' })
    rmSync(path, { recursive: true, force: true })
  }

  /** Waits until earlier writes are on disk, so that whoever runs next does not pay for them. */
  settle() {
    spawnSync('sync', ['-f', this.path], { stdio: 'ignore' })
  }
}

/**
 * Gives a benchmark its folder.
 *
 * @param {(dir: WorkDir) => Promise<void>} body
 */
export async function withWorkDir(body) {
  const dir = new WorkDir(mkdtempSync(join(tmpdir(), 'neve-bench-')))
  const stop = (/** @type {NodeJS.Signals} */ signal) => {
    dir.remove(dir.path)
    process.exit(signal === 'SIGINT' ? 130 : 143)
  }
  process.once('SIGINT', stop).once('SIGTERM', stop)
  try {
    await body(dir)
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop)
    dir.remove(dir.path)
  }
}
