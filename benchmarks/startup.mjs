// How long the smallest command takes, against the smallest program.
import { interleave } from './lib/measure.mjs'
import { run } from './lib/process.mjs'
import { NEVE, rounds } from './lib/settings.mjs'
import { heading, printTable, seconds } from './lib/table.mjs'

const ROUNDS = rounds(20)
const AT_MOST = 2

heading('start', `median of ${ROUNDS}`)
const contestants = {
  neve: () => start([NEVE, '--version']),
  node: () => start(['-e', '0']),
}
await interleave(contestants, 1)
const times = await interleave(contestants, ROUNDS)
const ratio = times.neve / times.node
printTable([
  {
    job: 'neve --version against node -e 0',
    ours: seconds(times.neve),
    peer: seconds(times.node),
    ratio: `${ratio.toFixed(2)}x the time`,
    target: `< ${AT_MOST}x`,
    met: ratio < AT_MOST,
  },
])

/** @param {readonly string[]} args */
async function start(args) {
  return (await run(process.execPath, args)).seconds
}
