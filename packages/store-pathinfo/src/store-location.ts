import { homedir } from 'node:os'
import { join } from 'node:path'
import { embeddedPath } from './embedded-address.js'

/** Where the store lies unless it is named (DESIGN decision 7). */
export function defaultStorePath(environment: NodeJS.ProcessEnv = process.env): string {
  const { NEVE_STORE: named, XDG_STATE_HOME: state } = environment
  if (named !== undefined && named !== '') return embeddedPath(named)
  if (process.getuid?.() === 0) return '/var/lib/neve'
  return join(state === undefined || state === '' ? join(homedir(), '.local/state') : state, 'neve')
}
