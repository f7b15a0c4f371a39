import { setFlagsFromString } from 'node:v8'

/** The newest Node.js that is known to have the flag: others would complain on standard error. */
const NEWEST_KNOWN = 24

/**
 * Lets the heap of every thread grow to four times what is in use before all of it is collected: V8's own upper limit,
 * at which it arrives late or never. What streams through is memory outside a small heap, which is counted with the
 * heap: with V8's own choice, receiving blobs spends half of the time in full collections, one each 13 MB; now young
 * collections free it, which cost a fiftieth.
 */
export function letHeapGrow(): void {
  if (Number.parseInt(process.versions.node, 10) > NEWEST_KNOWN) return
  setFlagsFromString('--heap-growing-percent=300')
}
