const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB']

/** `146 MB`: a number of bytes in powers of 1000, with one decimal below ten. */
export function formatBytes(bytes: number | bigint): string {
  let value = Number(bytes)
  let unit = 0
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000
    unit++
  }
  const decimals = unit > 0 && value < 9.95 ? 1 : 0
  return `${value.toFixed(decimals)} ${UNITS[unit]}`
}

/** `40,112`. */
export function formatCount(count: number | bigint): string {
  return count.toLocaleString('en-US')
}

/** `1 file`, `40,112 files`. */
export function counted(count: number | bigint, noun: string, plural = `${noun}s`): string {
  return `${formatCount(count)} ${BigInt(count) === 1n ? noun : plural}`
}

/** `0.9 s`, `42 s`, `3 min 20 s`, `2 h 5 min`. */
export function formatDuration(ms: number): string {
  const seconds = ms / 1000
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`
}
