import { blake3, encodeNode, type Node } from '@neve/castore-model'
import { type CallOptions, SingleFlight } from '@neve/castore-services'
import { measureNar, type NarMeasure } from './measure-nar.js'
import type { NarCalculationService } from './path-info-service.js'
import type { NarServices } from './render-nar.js'

/**
 * Measures NARs by rendering them here, each root once however many ask at the same time; where blobs are in an embedded
 * store, what was found is remembered there (spec 07 section 8.3).
 */
export class LocalNarCalculation implements NarCalculationService {
  readonly #services: NarServices
  readonly #running = new SingleFlight<string, NarMeasure>()

  /** @param services stay the caller's */
  constructor(services: NarServices) {
    this.#services = services
  }

  async calculateNar(node: Node, options: CallOptions = {}): Promise<NarMeasure> {
    const key = Buffer.from(blake3.digest(encodeNode(new Uint8Array(0), node))).toString('hex')
    return this.#running.run(key, (signal) => measureNar(this.#services, node, { signal }), options)
  }
}
