import type { IncomingMessage, ServerResponse } from 'node:http'
import type { BridgeRequest } from '../exchange.js'

/** A request as Node's http server has it. */
export class NodeRequest implements BridgeRequest {
  readonly #incoming: IncomingMessage
  readonly #response: ServerResponse
  readonly #onBody: () => void
  #controller: AbortController | undefined

  /** @param onBody called when somebody begins to read the body */
  constructor(incoming: IncomingMessage, response: ServerResponse, onBody: () => void) {
    this.#incoming = incoming
    this.#response = response
    this.#onBody = onBody
  }

  get method(): string {
    return this.#incoming.method ?? ''
  }

  get target(): string {
    return this.#incoming.url ?? ''
  }

  header(name: string): string | undefined {
    const value = this.#incoming.headers[name]
    return Array.isArray(value) ? value.join(', ') : value
  }

  get isEncrypted(): boolean {
    return (this.#incoming.socket as { readonly encrypted?: boolean }).encrypted === true
  }

  get body(): AsyncIterable<Uint8Array> {
    this.#onBody()
    // Leaving the body early must not end the connection: the client is still to be told why.
    return this.#incoming.iterator({ destroyOnReturn: false })
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      const controller = new AbortController()
      this.#controller = controller
      const response = this.#response
      const gone = () => {
        if (!response.writableFinished) controller.abort(new Error('the client went away'))
      }
      if (response.closed) gone()
      else response.once('close', gone)
    }
    return this.#controller.signal
  }
}
