// Adds a word at a time to one entry, and tries again when another process was quicker. Run twice at once by
// replace.test.ts.
import { createHash } from 'node:crypto'
import { EmbeddedStore } from '@neve/embedded-store'

const [folder, name, rounds] = process.argv.slice(2)
const key = createHash('sha256').update('entry').digest().subarray(0, 20)
const store = await EmbeddedStore.open(folder)
for (let round = 0; round < Number(rounds); ) {
  const known = store.get('pathInfos', key)
  const session = store.write()
  session.replace('pathInfos', key, known, Buffer.from(`${Buffer.from(known ?? '')}${name}${round} `))
  try {
    await session.commit()
    round++
  } catch (error) {
    if (error.code !== 'conflict') throw error
    store.refresh()
  }
}
await store.close()
