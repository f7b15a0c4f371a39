import { CastoreError } from '../errors.js'

type Environment = Readonly<Record<string, string | undefined>>

/** Options of {@link passedSockets}. */
export interface PassedSocketsOptions {
  /** The sockets of this name. Default: the first one. */
  readonly name?: string | undefined
  /** All of them. Default: false. */
  readonly all?: boolean | undefined
  /** Takes descriptor 3 without looking at any variable. Default: false. */
  readonly ignoreEnvironment?: boolean | undefined
}

/** What a service manager says about the sockets that it passes. */
export interface PassedSocketsEnvironment {
  readonly pid: number
  readonly variables: Environment
}

const FIRST = 3
const MAX_SOCKETS = 1024

/**
 * The descriptors of the listening sockets that whoever started this process opened for it: systemd, by its
 * protocol of socket activation (spec 08 section 4.1).
 *
 * @returns one descriptor or more
 * @throws CastoreError `unavailable` when there are none, naming the variable that says so
 */
export function passedSockets(
  { name, all = false, ignoreEnvironment = false }: PassedSocketsOptions,
  { pid, variables }: PassedSocketsEnvironment = passedEnvironment(),
): number[] {
  if (ignoreEnvironment) {
    if (name === undefined && !all) return [FIRST]
    throw new CastoreError(
      'invalid-input',
      'sockets without LISTEN_ variables have no names: expected sd-listen',
    )
  }
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = variables
  if (LISTEN_PID === undefined) throw refusal('LISTEN_PID is not set')
  if (LISTEN_PID !== String(pid))
    throw refusal(`LISTEN_PID is '${LISTEN_PID}', expected this process, ${pid}`)
  if (LISTEN_FDS === undefined) throw refusal('LISTEN_FDS is not set')
  const count = /^\d{1,4}$/.test(LISTEN_FDS) ? Number(LISTEN_FDS) : 0
  if (count < 1 || count > MAX_SOCKETS) {
    throw refusal(`LISTEN_FDS is '${LISTEN_FDS}', expected a number from 1 to ${MAX_SOCKETS}`)
  }
  const descriptors = Array.from({ length: count }, (_, index) => FIRST + index)
  if (all) return descriptors
  if (name === undefined) return [FIRST]
  const names = LISTEN_FDNAMES?.split(':') ?? []
  const found = descriptors.filter((_, index) => names[index] === name)
  if (found.length > 0) return found
  throw refusal(`none is named '${name}' in LISTEN_FDNAMES, which is '${LISTEN_FDNAMES ?? ''}'`)
}

let taken: PassedSocketsEnvironment | undefined

/** What the environment said when it was first asked for. The variables are gone then: children are not meant by them. */
export function passedEnvironment(): PassedSocketsEnvironment {
  if (taken !== undefined) return taken
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = process.env
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete process.env[name]
  taken = { pid: process.pid, variables: { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } }
  return taken
}

function refusal(reason: string): CastoreError {
  return new CastoreError('unavailable', `no socket was passed to this process: ${reason}`)
}
