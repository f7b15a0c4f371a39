import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { EmbeddedStore } from '@neve/embedded-store'
import { expect, it } from 'vitest'
import { MappedPages } from '../src/mapped-pages.js'
import { keyOf, temporaryFolder } from './support.js'

const COUNT = 12_000
const VALUE = 3000
const MIB = 2 ** 20

/** How much of a file is in this process's memory, in bytes. */
function resident(file: string): number {
  const [, kibibytes] = new RegExp(
    `${file}\\n(?:Size|KernelPageSize|MMUPageSize)[^]*?\\nRss: +(\\d+) kB`,
  ).exec(readFileSync('/proc/self/smaps', 'latin1'))!
  return Number(kibibytes) * 1024
}

it.skipIf(process.platform !== 'linux')(
  'tables that were read go out of memory, and are read again',
  async () => {
    const folder = join(temporaryFolder(), 'store')
    const file = join(folder, 'tables/data.mdb')
    await using store = await EmbeddedStore.open(folder)
    const session = store.write()
    for (let i = 0; i < COUNT; i++) session.put('directories', keyOf(`${i}`), Buffer.alloc(VALUE, `${i}`))
    await session.commit()
    const readAll = () => {
      let sum = 0
      for (const [key, value] of store.entries('directories')) sum += key[0]! + value.length + value.at(-1)!
      return sum
    }
    const pages = new MappedPages(file, 8 * MIB)
    const readMuch = () => {
      for (let i = 0; i < 512; i++) pages.read()
    }
    readMuch()
    const sum = readAll()
    expect(resident(file)).toBeGreaterThan(COUNT * VALUE)
    readMuch()
    expect(resident(file)).toBeLessThan(2 * MIB)
    expect(readAll()).toBe(sum)
    expect(sum).toBeGreaterThan(COUNT * VALUE)
  },
)
