/**
 * The `neve` command as a function.
 *
 * ```ts
 * import { run } from '@neve/cli'
 *
 * const exitCode = await run(['ls', '--json', '/nix/store/…'], io)
 * ```
 *
 * @packageDocumentation
 */

export type { ErrorStream, Io, Output } from './io.js'
export { OutputClosedError } from './output/errors.js'
export { run } from './run.js'
export { main } from './start.js'
export { version } from './version.js'
