// Writes sessions of random contents for ever, and says on stdout what was acknowledged: one line a commit, with the
// seeds of what it holds. Run by crash.test.ts, which kills it, and by processes.test.ts, which lets it finish.
import { createHash } from 'node:crypto'
import { EmbeddedStore } from '@neve/embedded-store'
import { contentOf, keyOfSeed } from './seeded-content.mjs'

const [folder, prefix, rounds] = process.argv.slice(2)
const store = await EmbeddedStore.open(folder, { segmentSize: 1024 * 1024 })
process.stdout.write('ready\n')

async function sessionLoop(name, count) {
  for (let round = 0; round < count; round++) {
    const session = store.write()
    const seeds = []
    const size = 1 + (createHash('md5').update(`${name} ${round}`).digest()[0] % 24)
    for (let i = 0; i < size; i++) {
      const seed = `${name}.${round}.${i}`
      session.appendContent(keyOfSeed(seed), contentOf(seed))
      session.put('directories', keyOfSeed(seed), contentOf(`directory ${seed}`))
      seeds.push(seed)
    }
    session.put('pathInfos', keyOfSeed(name).subarray(0, 20), Buffer.from(String(round)))
    await session.commit()
    process.stdout.write(`ack ${name} ${round} ${seeds.join(' ')}\n`)
  }
}

const count = rounds === undefined ? Number.POSITIVE_INFINITY : Number(rounds)
await Promise.all(['a', 'b', 'c'].map((name) => sessionLoop(`${prefix}${name}`, count)))
if (rounds !== undefined) {
  process.stdout.write('done\n')
  // The segment stays this process's own for as long as the others write.
  for await (const _ of process.stdin);
}
await store.close()
