/** What one histogram has counted: of each value of its label, how many in each bucket, and seconds in all. */
export type DurationCounts = readonly (readonly [value: string, counts: readonly number[], sum: number])[]

/** What took how long, by one label, in the words of Prometheus. Its library hashes the labels of every observation. */
export class DurationHistogram {
  readonly #name: string
  readonly #help: string
  readonly #label: string
  readonly #bounds: readonly number[]
  readonly #series = new Map<string, { readonly counts: Float64Array; sum: number }>()

  /**
   * @param init bounds of the buckets in seconds, ascending; help is one line
   */
  constructor(init: {
    readonly name: string
    readonly help: string
    readonly label: string
    readonly bounds: readonly number[]
  }) {
    this.#name = init.name
    this.#help = init.help
    this.#label = init.label
    this.#bounds = init.bounds
  }

  /** @param value of the label: plain words */
  observe(value: string, seconds: number): void {
    const series = this.#seriesOf(value)
    let bucket = 0
    while (bucket < this.#bounds.length && seconds > this.#bounds[bucket]!) bucket++
    series.counts[bucket]!++
    series.sum += seconds
  }

  /** What was counted, to be added elsewhere. */
  counts(): DurationCounts {
    return [...this.#series].map(([value, { counts, sum }]) => [value, [...counts], sum])
  }

  /** Adds what another of the same bounds has counted. */
  add(counted: DurationCounts): void {
    for (const [value, counts, sum] of counted) {
      const series = this.#seriesOf(value)
      for (const [bucket, count] of counts.entries()) series.counts[bucket]! += count
      series.sum += sum
    }
  }

  #seriesOf(value: string): { readonly counts: Float64Array; sum: number } {
    let series = this.#series.get(value)
    if (series === undefined) {
      series = { counts: new Float64Array(this.#bounds.length + 1), sum: 0 }
      this.#series.set(value, series)
    }
    return series
  }

  /** The text that Prometheus reads. */
  text(): string {
    const lines = [`# HELP ${this.#name} ${this.#help}`, `# TYPE ${this.#name} histogram`]
    for (const [value, { counts, sum }] of this.#series) {
      const label = `${this.#label}="${value}"`
      let total = 0
      for (const [i, count] of counts.entries()) {
        total += count
        lines.push(`${this.#name}_bucket{le="${this.#bounds[i] ?? '+Inf'}",${label}} ${total}`)
      }
      lines.push(`${this.#name}_sum{${label}} ${sum}`, `${this.#name}_count{${label}} ${total}`)
    }
    return `${lines.join('\n')}\n`
  }
}
