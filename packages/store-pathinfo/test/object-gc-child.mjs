// Does what it is told over one object store, a session at a time, and says what it has done: see
// object-gc-model.test.ts, which may kill it at any moment. Arguments: the URL of the store, its options as JSON, the
// grace age in milliseconds.
import { createInterface } from 'node:readline'
import { MemoryBlobService } from '@neve/castore-services/blob/memory'
import { ObjectStoreBlobService } from '@neve/castore-services/blob/object-store'
import { copyClosure } from '@neve/castore-services/copy'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'
import { ObjectStoreDirectoryService } from '@neve/castore-services/directory/object-store'
import { openObjectStore } from '@neve/castore-services/object-store'
import { collectObjects, removeObjectRoot, setObjectRoot } from '@neve/store-pathinfo/object-gc'
import { ObjectStorePathInfoService } from '@neve/store-pathinfo/object-store'
import { checkPackage, closureOf, packageOf, pathInfoOf, pathOf, putTree } from './gc-universe.mjs'

const [url, options, graceText] = process.argv.slice(2)
const grace = Number(graceText)
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`)
const objects = await openObjectStore(url, JSON.parse(options))
const source = { blobs: new MemoryBlobService(), directories: new MemoryDirectoryService() }
const open = () => ({
  blobs: new ObjectStoreBlobService({ store: objects, averageChunkSize: 65536 }),
  directories: new ObjectStoreDirectoryService({ store: objects }),
  pathInfos: new ObjectStorePathInfoService(objects),
})
// What it remembers may be gone: that is a part of the test.
let store = open()

/** What takes longer than half of the grace age is promised nothing: it begins anew, as its user would. */
async function inTime(work) {
  for (;;) {
    const start = Date.now()
    await work()
    if (Date.now() - start < grace / 2) return
  }
}

const steps = {
  /** As an uploader over the services: what is there is passed over. */
  async put({ number }) {
    for (const one of closureOf(number)) {
      const info = pathInfoOf(one)
      if ((await store.pathInfos.get(info.storePath.digest)) !== undefined) continue
      await putTree(store, packageOf(one))
      await store.pathInfos.put(info)
    }
  },
  /** As a copy between stores: a directory that is there stands for all below it. */
  async copy({ number }) {
    for (const one of closureOf(number)) {
      const info = pathInfoOf(one)
      if (await store.pathInfos.has(info.storePath.digest)) continue
      await putTree(source, packageOf(one))
      await copyClosure({ from: source, to: store }, info.node)
      await store.pathInfos.put(info)
    }
  },
  async upload({ number }) {
    await putTree(store, packageOf(number))
  },
  async unroot({ name }) {
    await removeObjectRoot(objects, name)
  },
  async check({ number }) {
    await checkPackage(store, number)
  },
  async reopen() {
    await store.blobs.close()
    store = open()
  },
  async gc({ maxSize }) {
    try {
      const { objects: removed } = await collectObjects(objects, { all: true, grace, settled: 0, maxSize })
      return { removed }
    } catch (error) {
      if (error.code === 'unavailable') return { busy: true }
      throw error
    }
  },
}

say({ ready: true })
for await (const line of createInterface({ input: process.stdin })) {
  const { step, root, ...data } = JSON.parse(line)
  try {
    let said
    if (root === undefined) said = await steps[step](data)
    // Between the path info and the root, too, less than half of the grace age goes by.
    else
      await inTime(async () => {
        await steps[step](data)
        await setObjectRoot(objects, { name: root, target: pathOf(data.number) })
      })
    say({ done: true, ...said })
  } catch (error) {
    say({ failed: String(error.stack) })
  }
}
