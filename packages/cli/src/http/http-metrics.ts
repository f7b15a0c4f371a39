import type { StoreOperation } from '@neve/castore-services/telemetry'
import type { Access } from '@neve/nar-bridge/server'
import { AggregatorRegistry, Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { GcState } from '../daemon/gc-schedule.js'
import type { ScrubState } from '../daemon/scrub.js'
import { type DurationCounts, DurationHistogram } from './duration-histogram.js'

/** Of requests, in seconds: from a narinfo in memory to a NAR of many GiB. */
const SECONDS = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 600]

/** Of operations, in seconds: from a lookup in a table of this machine to a blob from far away. */
const OPERATION_SECONDS = [0.0001, 0.001, 0.01, 0.1, 1, 10]

/** Methods that are told apart; clients may send any word. */
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'PUT'])

/** The kinds of requests, told apart by their URL; everything else is for people. */
const ROUTES: readonly (readonly [string, RegExp])[] = [
  ['narinfo', /^\/[0-9a-z]{32}\.narinfo$/],
  ['listing', /^\/[0-9a-z]{32}\.ls$/],
  ['nar.zst', /^\/nar\/[^?]*\.nar\.zst(?:$|\?)/],
  ['nar', /^\/nar\//],
  ['log', /^\/log\//],
  ['realisation', /^\/realisations\//],
  ['debuginfo', /^\/debuginfo\//],
  ['cache-info', /^\/nix-cache-info$/],
  ['operations', /^\/(?:healthz|metrics)$/],
]

/** What one process has counted, in a form that can be sent to another. */
export interface MetricsSnapshot {
  readonly registry: Awaited<ReturnType<Registry['getMetricsAsJSON']>>
  readonly seconds: DurationCounts
}

/** What this process has served over HTTP, in the words of Prometheus. */
export class HttpMetrics {
  readonly #registry = new Registry()
  readonly #requests = new Counter({
    name: 'neve_http_requests_total',
    help: 'requests that are over',
    labelNames: ['route', 'method', 'status'] as const,
    registers: [this.#registry],
  })
  readonly #bytes = new Counter({
    name: 'neve_http_response_bytes_total',
    help: 'bytes that were sent',
    labelNames: ['route'] as const,
    registers: [this.#registry],
  })
  /** What was counted since somebody asked, by route, method and status: the library's labels cost more than the rest. */
  readonly #newRequests = new Map<string, number>()
  readonly #newBytes = new Map<string, number>()
  readonly #cut = new Counter({
    name: 'neve_http_responses_cut_total',
    help: 'replies that the client did not get whole',
    labelNames: ['route'] as const,
    registers: [this.#registry],
  })
  readonly #seconds = requestSeconds()

  readonly #operations = new Histogram({
    name: 'neve_store_operation_duration_seconds',
    help: 'how long operations of the stores took; their number is the number of operations',
    labelNames: ['kind', 'operation', 'outcome'] as const,
    buckets: OPERATION_SECONDS,
    registers: [this.#registry],
  })

  #scrubs: ReturnType<typeof scrubGauges> | undefined
  #collections: ReturnType<typeof gcGauges> | undefined

  constructor() {
    collectDefaultMetrics({ register: this.#registry })
  }

  /** Counts a request that is over. */
  count({ target, method, status, bytes, milliseconds, whole }: Access): void {
    const route = ROUTES.find(([, pattern]) => pattern.test(target))?.[0] ?? 'page'
    const kind = `${route} ${METHODS.has(method) ? method : 'other'} ${status}`
    this.#newRequests.set(kind, (this.#newRequests.get(kind) ?? 0) + 1)
    this.#newBytes.set(route, (this.#newBytes.get(route) ?? 0) + bytes)
    if (!whole) this.#cut.inc({ route })
    this.#seconds.observe(route, milliseconds / 1000)
  }

  /** Counts an operation of a store that is over. */
  countOperation({ kind, operation, outcome, seconds }: StoreOperation): void {
    this.#operations.observe({ kind, operation, outcome }, seconds)
  }

  /** Shows what scrubs have found. */
  setScrub({ runs, bytes, damages, finished }: ScrubState): void {
    this.#scrubs ??= scrubGauges(this.#registry)
    this.#scrubs.runs.set(runs)
    this.#scrubs.bytes.set(bytes)
    this.#scrubs.damages.set(damages)
    this.#scrubs.finished.set(finished)
  }

  /** Shows what collections of garbage have removed. */
  setGc({ runs, removed, freedBytes, finished }: GcState): void {
    this.#collections ??= gcGauges(this.#registry)
    this.#collections.runs.set(runs)
    this.#collections.removed.set(removed)
    this.#collections.freed.set(freedBytes)
    this.#collections.finished.set(finished)
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  /** The text that Prometheus reads. */
  async text(): Promise<string> {
    this.#handOver()
    return `${await this.#registry.metrics()}\n${this.#seconds.text()}`
  }

  /** What was counted so far, for {@link metricsText} of several processes. */
  async snapshot(): Promise<MetricsSnapshot> {
    this.#handOver()
    return { registry: await this.#registry.getMetricsAsJSON(), seconds: this.#seconds.counts() }
  }

  #handOver(): void {
    for (const [kind, count] of this.#newRequests) {
      const [route, method, status] = kind.split(' ') as [string, string, string]
      this.#requests.inc({ route, method, status }, count)
    }
    for (const [route, bytes] of this.#newBytes) this.#bytes.inc({ route }, bytes)
    this.#newRequests.clear()
    this.#newBytes.clear()
  }
}

/** The text that Prometheus reads, of several processes together: what they have counted is added up. */
export async function metricsText(snapshots: readonly MetricsSnapshot[]): Promise<string> {
  const registry = AggregatorRegistry.aggregate(snapshots.map((snapshot) => snapshot.registry))
  const seconds = requestSeconds()
  for (const snapshot of snapshots) seconds.add(snapshot.seconds)
  return `${await registry.metrics()}\n${seconds.text()}`
}

function requestSeconds(): DurationHistogram {
  return new DurationHistogram({
    name: 'neve_http_request_duration_seconds',
    help: 'from the headers of a request to the end of its reply',
    label: 'route',
    bounds: SECONDS,
  })
}

/** All processes of one store are told the same. */
const TOLD = 'first'

function scrubGauges(registry: Registry) {
  const gauge = (name: string, help: string) =>
    new Gauge({ name, help, aggregator: TOLD, registers: [registry] })
  return {
    runs: gauge('neve_scrub_runs', 'scrubs that came to their end'),
    bytes: gauge('neve_scrub_bytes', 'bytes that scrubs have read and compared'),
    damages: gauge('neve_scrub_damages', 'damages that the last scrub has found'),
    finished: gauge('neve_scrub_finished_timestamp_seconds', 'when the last scrub came to its end'),
  }
}

function gcGauges(registry: Registry) {
  const gauge = (name: string, help: string) =>
    new Gauge({ name, help, aggregator: TOLD, registers: [registry] })
  return {
    runs: gauge('neve_gc_runs', 'collections of garbage that came to their end'),
    removed: gauge('neve_gc_removed', 'entries of all kinds that were removed as garbage'),
    freed: gauge('neve_gc_freed_bytes', 'bytes that collections of garbage have given back'),
    finished: gauge('neve_gc_finished_timestamp_seconds', 'when the last collection came to its end'),
  }
}
