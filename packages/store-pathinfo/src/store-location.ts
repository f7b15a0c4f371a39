import { homedir } from 'node:os'
import { join } from 'node:path'

type Environment = Readonly<Record<string, string | undefined>>

/** The address of the store unless it is named on the spot (DESIGN decision 7): `$NEVE_STORE`, else a folder. */
export function defaultStoreAddress(environment: Environment = process.env): string {
  const { NEVE_STORE: named, XDG_STATE_HOME: state } = environment
  if (named !== undefined && named !== '') return named
  if (process.getuid?.() === 0) return '/var/lib/neve'
  return join(state === undefined || state === '' ? join(homedir(), '.local/state') : state, 'neve')
}
