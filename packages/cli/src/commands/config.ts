import type { CompositionCheck, ServicePlan } from '@neve/castore-services/composition'
import { Argument, Command } from 'commander'
import type { Context, GlobalOptions } from '../context.js'
import { UsageError } from '../messages.js'
import { drawPlan } from '../output/plan.js'
import { refuseStoreOptions } from '../store-options.js'

interface ConfigOptions extends GlobalOptions {
  readonly json?: boolean
}

const EXAMPLES = `
Examples:
  $ neve config check stores.toml
  blob default: cache
  ├─ near = disk: embedded
  └─ far = grpc: grpc+https://store.example.org

  $ neve config check --json stores.toml | jq -r '.findings[].message'
  $ neve config schema > stores.schema.json

check tells every mistake in a composition file, with its line, and draws what would be built of it. Nothing is opened,
and no secret is shown. The status is 1 when there are errors; what nobody uses is a warning.
schema prints the JSON Schema of such files, with which editors check and complete them.
With --json, check prints one object: file, ok, findings (severity, message, line), services (kind, name, type,
address, parts).
`

/** `neve config check FILE`, `neve config schema`. */
export function configCommand(context: Context): Command {
  return new Command('config')
    .description('Check a composition file, and draw what would be built of it.')
    .addArgument(new Argument('<what>', 'what to do').choices(['check', 'schema']))
    .argument('[file]', 'the composition file')
    .option('--json', 'print one JSON object')
    .addHelpText('after', EXAMPLES)
    .action((what: string, file: string | undefined, _: unknown, self: Command) => {
      const options = self.optsWithGlobals<ConfigOptions>()
      refuseStoreOptions(options, 'config')
      return what === 'check' ? check(context, file, options) : schema(context, file)
    })
}

async function check(context: Context, file: string | undefined, options: ConfigOptions): Promise<void> {
  if (file === undefined || file === '') throw new UsageError('config check needs the name of a file')
  const [{ checkComposition, readCompositionText }, { storeRegistry }] = await loadComposition()
  const text = await readCompositionText(file)
  const { findings, plans } = checkComposition(text, { file, registry: storeRegistry() })
  const { stdout, stderr } = context.io
  const ok = findings.every(({ severity }) => severity === 'warning')
  if (!ok) context.exitCode = 1
  if (options.json === true) {
    await stdout.write(`${json(file, ok, { findings, plans })}\n`)
    return
  }
  for (const { severity, message } of findings) {
    stderr.write(`neve: ${severity === 'warning' ? 'warning: ' : ''}${message}\n`)
  }
  await stdout.write(plans.map(drawPlan).join(''))
}

async function schema(context: Context, file: string | undefined): Promise<void> {
  if (file !== undefined) throw new UsageError('config schema takes no file')
  const [{ compositionJsonSchema }, { storeRegistry }] = await loadComposition()
  await context.io.stdout.write(`${JSON.stringify(compositionJsonSchema(storeRegistry()), null, 2)}\n`)
}

function loadComposition() {
  return Promise.all([
    import('@neve/castore-services/composition'),
    import('@neve/store-pathinfo/composition'),
  ])
}

function json(file: string, ok: boolean, { findings, plans }: CompositionCheck): string {
  return JSON.stringify({ file, ok, findings, services: plans satisfies readonly ServicePlan[] })
}
