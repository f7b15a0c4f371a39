import { existsSync, readFileSync, statSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { join } from 'node:path'

/** A server on a free port of this machine. */
export interface HttpServer extends AsyncDisposable {
  readonly port: number
  /** The requests that came: `GET /nix-cache-info`. */
  readonly requests: string[]
  close(): Promise<void>
}

export type Answer = (request: IncomingMessage, response: ServerResponse) => void

/** Starts a server that answers as told. */
export async function httpServer(answer: Answer): Promise<HttpServer> {
  const requests: string[] = []
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`)
    response.on('error', () => {})
    answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  const { port } = server.address() as { port: number }
  return { port, requests, close, [Symbol.asyncDispose]: close }
}

/** Serves the files of a folder. */
export function files(folder: string): Answer {
  return (request, response) => {
    const path = join(folder, decodeURIComponent(new URL(request.url!, 'http://x').pathname))
    if (!existsSync(path) || !statSync(path).isFile()) response.writeHead(404).end('not found')
    else response.writeHead(200).end(request.method === 'HEAD' ? undefined : readFileSync(path))
  }
}
