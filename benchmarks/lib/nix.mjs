// The real nix-store, with a private store and no daemon (spec 09 section 16).
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './process.mjs'

const CONFIGURATION = `experimental-features = nix-command
substituters =
sandbox = false
build-users-group =
`

/**
 * @param {import('./work-dir.mjs').WorkDir} dir
 * @returns {Promise<Nix | undefined>} undefined, and a line for a person, when there is none
 */
export async function findNix(dir) {
  const home = dir.fresh('home')
  mkdirSync(join(home, 'conf'), { recursive: true })
  writeFileSync(join(home, 'conf', 'nix.conf'), CONFIGURATION)
  const nix = new Nix(dir, home)
  try {
    console.log(`peer: ${await nix.version()}, private store, no daemon`)
    return nix
  } catch (error) {
    console.log(`(nix-store is missing: no comparison; ${error instanceof Error ? error.message : error})`)
    return undefined
  }
}

export class Nix {
  #dir
  #env

  /**
   * @param {import('./work-dir.mjs').WorkDir} dir
   * @param {string} home
   */
  constructor(dir, home) {
    this.#dir = dir
    const folder = (/** @type {string} */ name) => join(home, name)
    this.#env = {
      HOME: home,
      NIX_CONF_DIR: folder('conf'),
      NIX_USER_CONF_FILES: '',
      NIX_CONFIG: '',
      NIX_REMOTE: undefined,
      NIX_STORE_DIR: undefined,
      XDG_CACHE_HOME: folder('cache'),
      XDG_CONFIG_HOME: folder('config'),
      XDG_DATA_HOME: folder('data'),
      XDG_STATE_HOME: folder('state'),
    }
  }

  async version() {
    const { stdout } = await run('nix-store', ['--version'], { env: this.#env })
    return stdout.trim()
  }

  /**
   * `nix-store --add` into a store that it makes first.
   *
   * @param {string} path
   * @returns {Promise<{ seconds: number, storePath: string }>}
   */
  async add(path) {
    const root = this.#dir.fresh('nix')
    this.#dir.settle()
    try {
      const { seconds, stdout } = await run('nix-store', ['--store', root, '--add', path], { env: this.#env })
      return { seconds, storePath: stdout.trim() }
    } finally {
      this.#dir.remove(root)
    }
  }
}
