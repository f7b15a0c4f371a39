import type { Options } from 'cli-progress'
import type { Context, GlobalOptions } from '../context.js'
import { oneLine } from '../messages.js'
import { counted, formatBytes, formatCount, formatDuration } from '../output/format.js'

/** How far something has come. */
export interface Progress {
  readonly bytes: number
  readonly files?: number
  /** Entries of all kinds, where these are what is counted. */
  readonly entries?: number
  /** Store paths, where these are what is counted. */
  readonly paths?: number
}

/** How far it will go, as far as that is known. */
export interface Totals {
  readonly bytes?: number | undefined
  readonly files?: number | undefined
  readonly entries?: number | undefined
  readonly paths?: number | undefined
}

/** A line on the terminal that goes away when it is done. */
export interface ProgressBar {
  update(progress: Progress): void
  setTotals(totals: Totals): void
  /** Calling it again does nothing. */
  stop(): void
}

const NO_BAR: ProgressBar = { update: () => {}, setTotals: () => {}, stop: () => {} }
/** What is done sooner needs no bar, in ms. */
const PATIENCE = 300
const BAR_SIZE = 24

/** A bar on a terminal, nothing elsewhere or with `--no-progress`. */
export async function startBar(context: Context, options: GlobalOptions, what: string): Promise<ProgressBar> {
  const { stream } = context.io.stderr
  if (!context.showsProgress(options) || stream === undefined) return NO_BAR
  const { default: cliProgress } = await import('cli-progress')
  const start = performance.now()
  let latest: Progress = { bytes: 0 }
  let totals: Totals = {}
  const label = oneLine(what)
  const bar = new cliProgress.SingleBar({
    stream,
    clearOnComplete: true,
    hideCursor: true,
    // Ours is the handler that stops.
    gracefulExit: false,
    fps: 10,
    format: () => progressLine(label, latest, totals, performance.now() - start),
  } as Options)
  let started = false
  let stopped = false
  return {
    update(progress) {
      latest = progress
      if (stopped) return
      if (!started && performance.now() - start > PATIENCE) {
        started = true
        bar.start(1, 0)
      }
      if (started) bar.update(fraction(progress, totals) ?? 0)
    },
    setTotals(known) {
      totals = known
    },
    stop() {
      if (started && !stopped) bar.stop()
      stopped = true
    },
  }
}

/** Between 0 and 1; undefined while no total is known. */
function fraction(progress: Progress, totals: Totals): number | undefined {
  const parts: number[] = []
  if (totals.bytes !== undefined && totals.bytes > 0) parts.push(progress.bytes / totals.bytes)
  if (totals.files !== undefined && totals.files > 0) parts.push((progress.files ?? 0) / totals.files)
  if (totals.entries !== undefined && totals.entries > 0) parts.push((progress.entries ?? 0) / totals.entries)
  if (totals.paths !== undefined && totals.paths > 0) parts.push((progress.paths ?? 0) / totals.paths)
  if (parts.length === 0) return undefined
  return Math.min(1, parts.reduce((sum, part) => sum + part, 0) / parts.length)
}

/** `docs ████████░░░░ 46 % · 12,345 of 40,112 files · 67 MB of 146 MB · 160 MB/s · 1 s left`. */
export function progressLine(label: string, progress: Progress, totals: Totals, elapsed: number): string {
  const done = fraction(progress, totals)
  const parts: string[] = []
  if (done !== undefined) parts.push(`${drawn(done)} ${Math.floor(done * 100)} %`)
  if (progress.entries !== undefined) parts.push(of(progress.entries, totals.entries, formatCount, 'entries'))
  if (progress.paths !== undefined) parts.push(of(progress.paths, totals.paths, formatCount, 'store paths'))
  if (progress.files !== undefined) {
    parts.push(
      totals.files === undefined
        ? counted(progress.files, 'file')
        : of(progress.files, totals.files, formatCount, 'files'),
    )
  }
  parts.push(of(progress.bytes, totals.bytes, formatBytes))
  if (elapsed > 0) parts.push(`${formatBytes((progress.bytes / elapsed) * 1000)}/s`)
  if (done !== undefined && done > 0.01) parts.push(`${formatDuration((elapsed / done) * (1 - done))} left`)
  return `${label} ${parts.join(' · ')}`
}

function of(value: number, total: number | undefined, format: (value: number) => string, noun = ''): string {
  const text = total === undefined ? format(value) : `${format(value)} of ${format(total)}`
  return noun === '' ? text : `${text} ${noun}`
}

function drawn(done: number): string {
  const full = Math.round(done * BAR_SIZE)
  return '█'.repeat(full) + '░'.repeat(BAR_SIZE - full)
}
