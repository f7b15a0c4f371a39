// Lives through the scenario again and again, each time in a new folder with a fault at a later call, until there are no
// more calls; says what came of each, and waits for a line before it goes on. Arguments: a folder, the trees to import,
// the fault as JSON, the first call, and how many calls to go on by.
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { live } from './scenario.mjs'
import { arm, disarm, failed, HOW, last, setRoot } from './shim.mjs'

const [folder, trees, fault, first, step] = process.argv.slice(2)
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`)
const HANGS = 30_000

const { error, how } = JSON.parse(fault)
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
for (let at = Number(first), fired = 1; fired > 0; at += Number(step)) {
  const place = join(folder, `${error}-${how}-${at}`)
  const promises = []
  const run = { at, place, promises }
  // Should this process die, it is known of what.
  say({ begun: run })
  setRoot(place)
  arm(at, error, HOW[how])
  const outcome = await Promise.race([
    live(place, trees, (text) => promises.push(text)).then(
      () => ({}),
      ({ name, code, message }) => ({ failure: { name, code, message } }),
    ),
    sleep(HANGS, { hangs: true }, { ref: false }),
  ])
  disarm()
  fired = failed()
  say({ done: { ...run, ...outcome, fired, call: last() } })
  await lines.next()
}
process.exit()
