import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const home = fileURLToPath(new URL('..', import.meta.url))

const withoutAddon = `
const Module = require('node:module')
const load = Module._load
Module._load = function (request, ...rest) {
  if (request === '@napi-rs/blake-hash') throw new Error('no binary for this platform')
  return load.call(this, request, ...rest)
}
`

const program = `
import { B3Digest, blake3 } from '@neve/castore-model'
import { nativeBlake3 } from '@neve/castore-model/blake3/native'
console.log(JSON.stringify([blake3.implementation, nativeBlake3 === undefined, B3Digest.of(new Uint8Array([0, 1])).toHex()]))
`

function run(...options: string[]): unknown {
  const { stdout, stderr } = spawnSync(process.execPath, [...options, '--input-type=module', '-e', program], {
    cwd: home,
    encoding: 'utf8',
  })
  expect(stderr).toBe('')
  return JSON.parse(stdout)
}

describe('choice of the BLAKE3 implementation in Node', () => {
  const digest = '7b7015bb92cf0b318037702a6cdd81dee41224f734684c2c122cd6359cb1ee63'

  it('is native when the addon loads', () => {
    expect(run()).toEqual(['native', false, digest])
  })

  it('falls back to WebAssembly when it does not', () => {
    const preload = `data:text/javascript,${encodeURIComponent(
      `import { createRequire } from 'node:module'; const require = createRequire(${JSON.stringify(`${home}x.js`)});${withoutAddon}`,
    )}`
    expect(run('--import', preload)).toEqual(['wasm', true, digest])
  })
})
