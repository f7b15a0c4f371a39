import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { EmbeddedStore } from '@neve/embedded-store'
import { StorePath } from '@neve/nix-compat'
import {
  EmbeddedPathInfoService,
  encodePathInfo,
  type FormattedPath,
  formatNixPathInfos,
} from '@neve/store-pathinfo'
import { expect, it } from 'vitest'
import { bytes, pathInfoOf } from '../src/contract/path-info-fixtures.js'
import { temporaryFolder } from './support.js'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** What is in use after everything else was thrown away, in MiB. */
function used(): number {
  collectGarbage()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return (heapUsed + arrayBuffers) / 2 ** 20
}

async function* pathsOf(service: EmbeddedPathInfoService): AsyncGenerator<FormattedPath> {
  for await (const info of service.list()) yield { storePath: info.storePath, info }
}

it('a list of 100,000, and its JSON, take no more memory at their end than at their start', {
  timeout: 120_000,
}, async () => {
  const count = 100_000
  await using engine = await EmbeddedStore.open(join(temporaryFolder(), 'store'))
  const service = new EmbeddedPathInfoService(engine)
  const base = pathInfoOf('00000000000000000000000000000000-dummy')
  for (let start = 0; start < count; start += 10_000) {
    const session = engine.write()
    for (let i = start; i < start + 10_000; i++) {
      const storePath = new StorePath(bytes(20, `${i}`), `path-${i}`)
      session.put('pathInfos', storePath.digest, encodePathInfo({ ...base, storePath }))
    }
    await session.commit()
  }
  const samples: number[] = []
  let seen = 0
  let others = 0
  const ticking = setInterval(() => others++, 1)
  for await (const _info of service.list()) {
    if (++seen % 20_000 === 1) samples.push(used())
  }
  // What is written of them does not gather either.
  const written = formatNixPathInfos(pathsOf(service))
  let length = 0
  for await (const piece of written) {
    length += piece.length
    if (++seen % 20_000 === 1) samples.push(used())
  }
  clearInterval(ticking)
  samples.push(used())
  expect(length).toBeGreaterThan(count * 100)
  expect(seen).toBe(2 * count + 2)
  expect(Math.max(...samples) - samples[0]!).toBeLessThan(8)
  // Others had their turns meanwhile.
  expect(others).toBeGreaterThan(10)
})
