import { createRequire } from 'node:module'
import type * as LoadBundle from './bundle/load-bundle.js'
import { letHeapGrow } from './heap-growth.js'
import type * as Main from './main.js'

/**
 * Runs the command line of this process, with its standard streams and signals, and ends the process. The command is
 * one file, with what V8 made of it when it was built: most of the time of a small command would go into compiling.
 *
 * @param before words put before the arguments of this process: for a program that is one command of `neve`
 */
export async function main(before: readonly string[] = []): Promise<never> {
  // Before anything is compiled: code is kept for one set of V8's flags.
  letHeapGrow()
  const { loadBundle } = createRequire(import.meta.url)('./bundle/load-bundle.cjs') as typeof LoadBundle
  const command = [...before, ...process.argv.slice(2)].find((word) => /^[a-z][a-z-]*$/.test(word))
  const bundle = loadBundle('main', command === undefined ? [] : [command]) as typeof Main
  return bundle.main(before)
}
