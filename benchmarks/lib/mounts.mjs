// The same tree seen in three ways: where it lies, through bindfs, and through `neve mount` of a store that has it.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from './process.mjs'
import { NEVE } from './settings.mjs'

const BARE = fileURLToPath(new URL('bare-mount.mjs', import.meta.url))

/**
 * @typedef {object} View
 * @property {string} path of the tree
 * @property {number} [pid] of the process that serves it, where it is known
 * @property {() => Promise<void>} close
 */

/** @typedef {() => Promise<View>} Mounter */

/**
 * @param {string} tree
 * @returns {Mounter}
 */
export function inPlace(tree) {
  return async () => ({ path: tree, close: async () => {} })
}

/**
 * Shows a tree through bindfs, the FUSE filesystem that does nothing but pass on what is asked.
 *
 * @param {string} tree
 * @param {string} mountpoint made here
 * @returns {Mounter | undefined} undefined where it is not installed
 */
export function bindfs(tree, mountpoint) {
  if (spawnSync('bindfs', ['--version']).status !== 0) return undefined
  mkdirSync(mountpoint, { recursive: true })
  return async () => {
    const child = spawn('bindfs', ['-f', '-o', 'ro', '--multithreaded', tree, mountpoint], {
      stdio: 'inherit',
    })
    return { path: mountpoint, ...(await served(child, mountpoint)) }
  }
}

/**
 * Shows what is in a store.
 *
 * @param {string} store
 * @param {string} name what the tree is called in the root
 * @param {string} mountpoint made here
 * @returns {Mounter}
 */
export function neveMount(store, name, mountpoint) {
  mkdirSync(mountpoint, { recursive: true })
  return async () => {
    const child = spawn(process.execPath, [NEVE, '--store', store, 'mount', mountpoint], { stdio: 'ignore' })
    return { path: join(mountpoint, name), ...(await served(child, mountpoint)) }
  }
}

/**
 * Shows a file that is answered from memory by the loop that every mount has.
 *
 * @param {number} size in bytes
 * @param {string} mountpoint made here
 * @param {'random' | 'text'} [content] what each chunk is expanded from and verified as before it is answered. Default:
 *   neither is done
 * @returns {Mounter}
 */
export function bareMount(size, mountpoint, content) {
  mkdirSync(mountpoint, { recursive: true })
  return async () => {
    const args = [BARE, mountpoint, String(size), ...(content === undefined ? [] : [content])]
    const child = spawn(process.execPath, args, { stdio: 'inherit' })
    return { path: join(mountpoint, 'file'), ...(await served(child, mountpoint)) }
  }
}

/**
 * Forgets what the kernel has read: the next reader finds nothing in memory. Only root can.
 */
export function dropCaches() {
  spawnSync('sync')
  writeFileSync('/proc/sys/vm/drop_caches', '3')
}

/**
 * Waits until somebody serves a place.
 *
 * @param {import('node:child_process').ChildProcess} child
 * @param {string} mountpoint
 */
async function served(child, mountpoint) {
  const exit = once(child, 'exit')
  while (!isMounted(mountpoint)) {
    if (child.exitCode !== null) throw new Error(`${child.spawnargs.join(' ')}: ended with ${child.exitCode}`)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  // Answered once it is served.
  await run('stat', ['-c', '%i', mountpoint])
  return {
    ...(child.pid !== undefined && { pid: child.pid }),
    close: async () => {
      await run('umount', [mountpoint])
      await exit
    },
  }
}

/** @param {string} mountpoint */
function isMounted(mountpoint) {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .some((line) => line.split(' ')[1] === mountpoint)
}
