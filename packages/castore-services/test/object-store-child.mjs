// A process of its own over a FileObjectStore: node object-store-child.mjs ROOT writes|endless|denied|marks
import { FileObjectStore } from '@neve/castore-services/object-store'

const [root, what] = process.argv.slice(2)
const store = new FileObjectStore({ root })

/** @param {number} number */
function content(number) {
  return Buffer.alloc(1000 + (number % 5000), `${number};`)
}

if (what === 'writes') {
  // The store is not closed: the process has to end all the same.
  await Promise.all(Array.from({ length: 20 }, (_, number) => store.put(`a/${number}`, content(number))))
  console.log('done')
}
if (what === 'endless') {
  let next = 0
  const write = async () => {
    for (;;) {
      const number = next++
      await store.put(`${number % 10}/${number}`, content(number))
      // Synchronous, or what was acknowledged may not be told before the end.
      process.stdout.write(`${number}\n`)
    }
  }
  await Promise.all(Array.from({ length: 100 }, write))
}
if (what === 'denied') {
  // Everything is loaded before: who has no rights may not read the sources either.
  await store.put('d/warm', content(1))
  await store.get('d/warm')
  process.setgroups?.([])
  process.setgid?.(65534)
  process.setuid?.(65534)
  for (const call of [() => store.put('a/b', content(1)), () => store.get('c'), () => store.head('d/e')]) {
    await call().then(
      () => console.log('it worked'),
      (error) => console.log(`${error.code}: ${error.message}`),
    )
  }
}
if (what === 'marks') {
  // A line of its own, fifty times, each added to what is there at that moment.
  let missed = 0
  for (let number = 0; number < 50; ) {
    const known = /** @type {Uint8Array} */ (await store.get('marks'))
    const more = Buffer.concat([known, Buffer.from(`${process.pid} ${number}\n`)])
    if (await store.replace?.('marks', known, more)) number += 1
    else missed += 1
  }
  console.log(missed)
  await store.close()
}
