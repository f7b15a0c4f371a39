import type { Context } from '../context.js'
import type { Telemetry } from './telemetry.js'

/** Begins to tell OpenTelemetry what the environment asks for; undefined when that is nothing. */
export async function openTelemetry(context: Context): Promise<Telemetry | undefined> {
  if (!Object.keys(process.env).some((name) => name.startsWith('OTEL_'))) return undefined
  const plan = (await import('./telemetry-plan.js')).telemetryPlan()
  if (plan === undefined) return undefined
  const { startTelemetry } = await import('./telemetry.js')
  // One after the other, and all before the end.
  let told = Promise.resolve()
  const telemetry = await startTelemetry(plan, (message) => {
    told = told.then(async () => (await context.log()).warn(message))
  })
  return {
    ...telemetry,
    async shutdown() {
      await telemetry.shutdown()
      await told
    },
  }
}
