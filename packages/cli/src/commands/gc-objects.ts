import type {
  CollectedObjects,
  CollectObjectsOptions,
  CollectObjectsProgress,
} from '@neve/store-pathinfo/object-gc'
import type { Context, GlobalOptions } from '../context.js'
import { openObjects } from '../object-store-address.js'
import { counted, formatBytes } from '../output/format.js'
import { reasonLine, reasonsJson } from '../output/garbage.js'
import { jsonLine } from '../output/names.js'
import { startBar } from '../progress/bar.js'

/** What `neve gc` was asked for, of an object store. */
export type GcObjectsSettings = CollectObjectsOptions & { readonly dryRun: boolean }

/** `neve gc` of an object store. */
export async function collectObjectStore(
  context: Context,
  options: GlobalOptions & { readonly json?: boolean },
  address: string,
  settings: GcObjectsSettings,
): Promise<void> {
  const { collectObjects } = await import('@neve/store-pathinfo/object-gc')
  await using opened = await openObjects(address)
  const bar = await startBar(context, options, 'gc')
  let collected: CollectedObjects
  try {
    const onProgress = (progress: CollectObjectsProgress): void => {
      if (progress.step === 'mark') {
        bar.update({ bytes: 0, paths: progress.paths, entries: progress.directories })
      } else bar.update({ bytes: progress.bytes, entries: progress.objects })
    }
    collected = await collectObjects(opened.store, { ...settings, onProgress })
  } finally {
    bar.stop()
  }
  await tell(context, collected, options, settings)
}

async function tell(
  context: Context,
  { paths, reasons, keptPaths, objects, bytes, notBefore }: CollectedObjects,
  options: GlobalOptions & { readonly json?: boolean },
  { dryRun }: GcObjectsSettings,
): Promise<void> {
  const { stdout, stderr } = context.io
  const freedBytes = dryRun || notBefore !== undefined ? 0 : bytes
  if (options.json === true) {
    const names = paths.map((path) => path.toAbsolute())
    const when = notBefore === undefined ? null : timeText(notBefore)
    await stdout.write(
      jsonLine({
        paths: names,
        reasons: reasonsJson(reasons),
        keptPaths,
        objects,
        contentBytes: bytes,
        freedBytes,
        notBefore: when,
        dryRun,
      }),
    )
  } else for (const path of reasons) await stdout.write(reasonLine(path, dryRun))
  if (context.showsSummary) {
    const found = `${counted(paths.length, 'store path')}, ${counted(objects, 'object')}, ${formatBytes(bytes)}`
    stderr.write(freedBytes === bytes ? `  ${found} removed\n` : `  garbage: ${found}\n`)
  }
  if (notBefore === undefined) return
  context.fail(
    new Error(
      `not removed yet: everybody who writes to the store has to learn first that garbage is collected; run neve gc again after ${timeText(notBefore)}`,
    ),
  )
}

function timeText(milliseconds: number): string {
  return Number.isFinite(milliseconds) ? new Date(milliseconds).toISOString() : 'never'
}
