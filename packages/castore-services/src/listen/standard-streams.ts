import { Duplex } from 'node:stream'

/**
 * Standard input and output as one connection (spec 08 section 4.1, `inetd`). Nothing else may use either from then on.
 */
export function standardStreams(): Duplex {
  return Duplex.from({ readable: process.stdin, writable: process.stdout })
}
