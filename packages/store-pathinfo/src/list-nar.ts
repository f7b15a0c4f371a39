import type { Node } from '@neve/castore-model'
import type { CallOptions } from '@neve/castore-services'
import { NarListingEncoder } from '@neve/nar'
import { type NarPlanServices, planSteps } from './nar-plan.js'

/** Text is handed out in pieces of about this length, in characters. */
const PIECE = 16 * 1024

/**
 * The listing of a node's NAR, as Nix keeps it under `<hash>.ls` (spec 07 section 13.8): JSON text in pieces, from
 * directories alone, with memory for the directories on the way down.
 *
 * @throws NarError `invalid-data` for a name or target that is no UTF-8, which JSON cannot hold; StoreError
 *   `directory-not-found`; DataLossError. What was delivered before is to be thrown away.
 */
export async function* listNar(
  services: NarPlanServices,
  node: Node,
  { signal }: CallOptions = {},
): AsyncGenerator<string, void, undefined> {
  let text = ''
  const listing = new NarListingEncoder((piece) => {
    text += piece
  })
  // Without an engine the plan asks for no chunk lists.
  for await (const steps of planSteps(services, undefined, node, signal)) {
    for (const step of steps) {
      if (step.kind === 'enter') listing.directoryStart()
      else if (step.kind === 'entry') listing.entry(step.name)
      else if (step.kind === 'leave') listing.directoryEnd()
      else if (step.kind === 'symlink') listing.symlink(step.target)
      else if (step.kind === 'file') listing.file(step.node.executable, step.node.size)
    }
    if (text.length >= PIECE) {
      yield text
      text = ''
    }
  }
  listing.finish()
  yield text
}
