const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB']

/** `146 MB`: a number of bytes in powers of 1000, with one decimal below ten. */
export function formatBytes(bytes: bigint): string {
  let value = Number(bytes)
  let unit = 0
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000
    unit++
  }
  return `${value.toFixed(unit > 0 && value < 9.95 ? 1 : 0)} ${UNITS[unit]}`
}

/** `40,112`. */
export function formatCount(count: number | bigint): string {
  return count.toLocaleString('en-US')
}

/** `1 file`, `40,112 files`. */
export function counted(count: number | bigint, noun: string, plural = `${noun}s`): string {
  return `${formatCount(count)} ${BigInt(count) === 1n ? noun : plural}`
}
