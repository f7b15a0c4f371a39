// Does what it is told over one store, a session at a time, and says what it has done: see gc-model.test.ts, which may
// kill it at any moment. Arguments: the folder of the store, and one to import from.
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { EmbeddedBlobService } from '@neve/castore-services/blob/embedded'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { copyClosure } from '@neve/castore-services/copy'
import { EmbeddedDirectoryService } from '@neve/castore-services/directory/embedded'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { EmbeddedStore } from '@neve/embedded-store'
import { EmbeddedPathInfoService, Store, verifyPaths } from '@neve/store-pathinfo'
import { collectGarbage, removeRoot, setRoot } from '@neve/store-pathinfo/gc'
import { checkPackage, closureOf, packageOf, pathInfoOf, pathOf, putTree } from './gc-universe.mjs'

const [folder, trees] = process.argv.slice(2)
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`)
const source = { blobs: new MemoryBlobService(), directories: new MemoryDirectoryService() }

const steps = {
  /** As an uploader over the services: what is there is passed over. */
  async put(store, { number, pause }) {
    for (const one of closureOf(number)) {
      const info = pathInfoOf(one)
      if ((await store.pathInfos.get(info.storePath.digest)) !== undefined) continue
      await putTree(store, packageOf(one), pause)
      await store.pathInfos.put(info)
    }
  },
  /** As a copy between stores: a directory that is there stands for all below it. */
  async copy(store, { number }) {
    for (const one of closureOf(number)) {
      const info = pathInfoOf(one)
      if (await store.pathInfos.has(info.storePath.digest)) continue
      await putTree(source, packageOf(one))
      await copyClosure({ from: source, to: store }, info.node)
      await store.pathInfos.put(info)
    }
  },
  /** As an import from the disk, with threads and the record of unchanged files. */
  async import(store, { number, tree }) {
    const { node } = await store.importPath(join(trees, String(tree)))
    const { directory } = packageOf(tree)
    if (!node.digest.equals(directory.digest()))
      throw new Error(`tree ${tree} was imported as ${node.digest}`)
    await steps.put(store, { number })
  },
  /** Contents without a path info. */
  async upload(store, { number }) {
    await putTree(store, packageOf(number))
  },
  async root(store, { name, number }) {
    await setRoot(store.engine, { name, target: pathOf(number) })
  },
  async unroot(store, { name }) {
    await removeRoot(store.engine, name)
  },
  async check(store, { number }) {
    await checkPackage(store, number)
  },
  async verify(store, { number }) {
    for await (const { damages } of verifyPaths(store, [pathOf(number)])) {
      if (damages.length > 0) throw new Error(`verify of ${number}: ${damages[0].kind} ${damages[0].detail}`)
    }
  },
}

async function run({ session }) {
  if (session[0]?.step === 'gc') {
    try {
      const { waitingFor, freedBytes, removed } = await collectGarbage(folder, {
        all: true,
        olderThan: 0,
        ...session[0].options,
      })
      return say({ done: 0, waited: waitingFor.length, freedBytes, removed })
    } catch (error) {
      if (error.code === 'busy') return say({ done: 0, busy: true })
      throw error
    }
  }
  // Small segments, so that there is something to compact.
  const engine = await EmbeddedStore.open(folder, { segmentSize: 256 * 1024 })
  const store = new Store({
    blobs: new EmbeddedBlobService(engine),
    directories: new EmbeddedDirectoryService(engine),
    pathInfos: new EmbeddedPathInfoService(engine),
    close: () => engine.close(),
  })
  try {
    for (const [index, { step, ...data }] of session.entries()) {
      try {
        await steps[step](store, data)
        say({ done: index })
      } catch (error) {
        say({ done: index, failed: error.code ?? 'none', step, data, message: String(error.stack) })
      }
    }
  } finally {
    await store.close()
  }
}

say({ ready: true })
for await (const line of createInterface({ input: process.stdin })) {
  try {
    await run(JSON.parse(line))
    say({ end: true })
  } catch (error) {
    say({ crashed: String(error.stack) })
  }
}
