// FastCDC in one thread: our cutter and chunker, and, where it is installed, the package on npm that wraps the Rust
// crate in WebAssembly (`npm install @dstanesc/wasm-chunking-fastcdc-node` anywhere above this file).
// Usage: node benchmarks/fastcdc.mjs [MiB, default 256]
import { randomFillSync } from 'node:crypto'
import { createRequire } from 'node:module'
import { cpus } from 'node:os'
import { Chunker, Cutter, chunkSizes } from '@neve/fastcdc'

const PEER = '@dstanesc/wasm-chunking-fastcdc-node'
const ROUNDS = 5
const mebibytes = Number(process.argv[2] ?? 256)
const sizes = chunkSizes()

const random = new Uint8Array(mebibytes << 20)
for (let offset = 0; offset < random.length; offset += 1 << 20) randomFillSync(random, offset, 1 << 20)
const inputs = { random, zeros: new Uint8Array(random.length) }

const peer = loadPeer()
const contestants = {
  '@neve/fastcdc Cutter': (data) => {
    const cutter = new Cutter(sizes)
    let count = 0
    for (let start = 0; start < data.length; count++) start += cutter.cut(data, start, data.length, true)
    return count
  },
  '@neve/fastcdc Chunker, 64 KiB pieces': (data) => {
    const chunker = new Chunker(sizes)
    let count = 0
    for (let offset = 0; offset < data.length; offset += 65536) {
      count += chunker.push(data.subarray(offset, offset + 65536)).length
    }
    return count + chunker.finish().length
  },
  ...(peer && {
    [PEER]: (data) => peer.compute_chunks(data, sizes.min, sizes.average, sizes.max).length - 1,
  }),
}

console.log(
  `${cpus()[0]?.model}, Node ${process.version}, ${mebibytes} MiB, average 256 KiB, best of ${ROUNDS}`,
)
if (!peer) console.log(`(${PEER} is not installed: no comparison)`)
for (const [input, data] of Object.entries(inputs)) {
  const rows = Object.entries(contestants).map(([name, run]) => ({ name, ...best(() => run(data)) }))
  const base = rows.at(-1).rate
  for (const { name, rate, result } of rows) {
    const ratio = peer ? `${(rate / base).toFixed(2)}x` : ''
    console.log(
      [
        input.padEnd(8),
        name.padEnd(40),
        `${rate.toFixed(0).padStart(6)} MB/s`,
        ratio.padStart(7),
        `${result} chunks`,
      ].join('  '),
    )
  }
}

function best(run) {
  let rate = 0
  let result
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint()
    result = run()
    rate = Math.max(rate, random.length / 1e6 / (Number(process.hrtime.bigint() - start) / 1e9))
  }
  return { rate, result }
}

function loadPeer() {
  try {
    return createRequire(process.env.NEVE_BENCH_PEERS ?? import.meta.url)(PEER)
  } catch (error) {
    if (error.code === 'MODULE_NOT_FOUND') return undefined
    throw error
  }
}
