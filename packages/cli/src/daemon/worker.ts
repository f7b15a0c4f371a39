import { setMaxListeners } from 'node:events'
import type { Socket } from 'node:net'
import { Context } from '../context.js'
import type { Output } from '../io.js'
import { openTelemetry } from '../observe/open-telemetry.js'
import type { Telemetry } from '../observe/telemetry.js'
import { type ConnectionOrigin, openServer, type StoreServer } from './store-server.js'
import type { FromWorker, ToWorker, WorkerInit } from './worker-messages.js'

/** Standard output belongs to the process that listens. */
const NO_OUTPUT: Output = { isTerminal: false, write: async () => {}, flush: async () => {} }

let server: StoreServer | undefined
let telemetry: Telemetry | undefined

// They reach the whole group of processes; what to do says the one that listens.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
process.once('disconnect', () => process.exit(1))
process.on('message', (message: ToWorker, socket?: Socket) => {
  if ('start' in message) void start(message.start)
  else if ('connection' in message) take(socket, message.connection)
  else if ('reload' in message) void server?.reload()
  else void stop(message.stop)
})

async function start({ options, services, debug }: WorkerInit): Promise<void> {
  if (!debug) process.removeAllListeners('warning')
  const { signal } = new AbortController()
  setMaxListeners(0, signal)
  const stderr = { isTerminal: false, write: (text: string) => void process.stderr.write(text) }
  const context = new Context({ stdout: NO_OUTPUT, stderr, signal, debug })
  try {
    await context.setLogging(options)
    telemetry = await openTelemetry(context)
    server = await openServer(context, options, services)
    process.send!({ ready: true } satisfies FromWorker)
  } catch (error) {
    context.fail(error)
    process.exit(context.exitCode)
  }
}

function take(socket: Socket | undefined, via: ConnectionOrigin): void {
  // The client may have gone meanwhile.
  if (socket !== undefined) server!.accept(socket, via)
}

async function stop(grace: number): Promise<void> {
  await server?.close(grace)
  await telemetry?.shutdown()
  process.exit(0)
}
