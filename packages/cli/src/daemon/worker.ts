import { setMaxListeners } from 'node:events'
import type { Socket } from 'node:net'
import { Context } from '../context.js'
import { letHeapGrow } from '../heap-growth.js'
import type { MetricsSnapshot } from '../http/http-metrics.js'
import type { Output } from '../io.js'
import { openTelemetry } from '../observe/open-telemetry.js'
import type { Telemetry } from '../observe/telemetry.js'
import { type ConnectionOrigin, openServer, type StoreServer } from './store-server.js'
import type { FromWorker, ToWorker, WorkerInit } from './worker-messages.js'

/** Standard output belongs to the process that listens. */
const NO_OUTPUT: Output = { isTerminal: false, write: async () => {}, flush: async () => {} }

let server: StoreServer | undefined
let telemetry: Telemetry | undefined
/** Wait for what all workers have counted. */
const asking: ((all: readonly MetricsSnapshot[] | undefined) => void)[] = []

letHeapGrow()
// They reach the whole group of processes; what to do says the one that listens.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
process.once('disconnect', () => process.exit(1))
process.on('message', (message: ToWorker, socket?: Socket) => {
  if ('start' in message) void start(message.start)
  else if ('connection' in message) take(socket, message.connection)
  else if ('reload' in message) void server?.reload()
  else if ('scrub' in message) server?.observeScrub?.(message.scrub)
  else if ('gc' in message) server?.observeGc?.(message.gc)
  else if ('measure' in message) void measure(message.measure)
  else if ('measured' in message) for (const answer of asking.splice(0)) answer(message.measured)
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
    server = await openServer(context, options, services, measureAll)
    tell({ ready: true })
  } catch (error) {
    context.fail(error)
    process.exit(context.exitCode)
  }
}

function tell(message: FromWorker): void {
  process.send!(message)
}

async function measure(round: number): Promise<void> {
  const measured = await server?.snapshot?.()
  if (measured !== undefined) tell({ measured, round })
}

function measureAll(): Promise<readonly MetricsSnapshot[] | undefined> {
  return new Promise((resolve) => {
    asking.push(resolve)
    if (asking.length === 1) tell({ measureAll: true })
  })
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
