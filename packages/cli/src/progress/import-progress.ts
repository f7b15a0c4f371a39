import { Worker } from 'node:worker_threads'
import type { Context, GlobalOptions } from '../context.js'
import { startBar, type Totals } from './bar.js'

/** A bar for an import. What there is to do is counted by a thread beside it. */
export async function startImportProgress(
  context: Context,
  options: GlobalOptions,
  path: string | Uint8Array,
  name: string,
): Promise<{ update: (progress: { bytes: number; files: number }) => void; stop: () => void }> {
  const bar = await startBar(context, options, name)
  if (!context.showsProgress(options)) return { update: () => {}, stop: () => {} }
  const scan = new Worker(new URL('./scan-worker.js', import.meta.url), { workerData: { path } })
  scan.unref()
  scan.on('message', (totals: Totals) => bar.setTotals(totals))
  // What cannot be counted is what cannot be imported, which is told better by the import.
  scan.on('error', () => {})
  return {
    update: ({ bytes, files }) => bar.update({ bytes, files }),
    stop: () => {
      bar.stop()
      void scan.terminate()
    },
  }
}
