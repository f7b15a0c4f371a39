import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SecretKey } from '@neve/nix-compat'
import { openStore } from '@neve/store-pathinfo'
import { describe, expect, test } from 'vitest'
import { makeNixClosure } from './nix-closure.js'
import { missingProgram, neve, newStore, ONE_LINE, requireReal, temporaryFolder } from './support.js'

/** A file with a secret key. */
async function keyFile(name: string): Promise<string> {
  const file = join(temporaryFolder(), 'secret')
  expect((await neve(['key', 'generate', name, '-o', file])).code).toBe(0)
  return file
}

describe('sign', () => {
  test('makes the signatures that Nix makes, which real Nix trusts', async (context) => {
    requireReal(context, missingProgram('nix', '--version'))
    const closure = makeNixClosure()
    const { path: store, run } = newStore()
    const input = closure.nix('nix', 'path-info', '--json', '-r', closure.top)
    await neve(['--store', store, 'copy', '--root', closure.root, '-'], { input })
    const signed = await run('sign', '--key-file', closure.keyFile, '--recursive', closure.top)
    expect([signed.code, signed.stderr]).toEqual([0, ''])
    // The text has the signature of this key already.
    expect(signed.lines).toHaveLength(3)
    expect(signed.lines).not.toContain(closure.text)
    const cache = join(temporaryFolder(), 'cache')
    closure.nix('nix', 'copy', '--to', `file://${cache}?compression=none`, closure.top)
    const to = ['copy', '--from', `file://${cache}`, '--to', join(temporaryFolder(), 'trusting')]
    const trusting = [...to, '--trusted-public-keys', closure.publicKey, closure.top]
    expect(() => closure.run('nix', trusting)).toThrow('signature')
    const json = await run('sign', '--json', '--all', '-k', closure.keyFile)
    for (const line of json.lines) {
      const { storePath, added, signatures } = JSON.parse(line)
      expect([added, signatures.length]).toEqual([0, 1])
      const narinfo = join(cache, `${storePath.slice('/nix/store/'.length).slice(0, 32)}.narinfo`)
      const unsigned = readFileSync(narinfo, 'utf8').replace(/^Sig: .*\n/m, '')
      writeFileSync(narinfo, `${unsigned}Sig: ${signatures[0]}\n`)
    }
    expect(json.lines).toHaveLength(readdirSync(cache).filter((name) => name.endsWith('.narinfo')).length)
    closure.run('nix', [...trusting, '--option', 'narinfo-cache-positive-ttl', '0'])
    closure.nix('nix', 'store', 'sign', '-k', closure.keyFile, '-r', closure.top)
    const theirs = JSON.parse(closure.nix('nix', 'path-info', '--json', '-r', closure.top).toString())
    const ours = JSON.parse((await run('path-info', '--json', '-r', closure.top)).stdout.toString())
    const signatures = (infos: readonly { path: string; signatures: string[] }[]) =>
      Object.fromEntries(infos.map((info) => [info.path, info.signatures]))
    expect(signatures(ours)).toEqual(signatures(theirs))
  })

  test('the same signature twice changes nothing, and those of other keys are kept', async () => {
    const { run } = newStore()
    const file = join(temporaryFolder(), 'file')
    writeFileSync(file, 'x')
    const [path] = (await run('import', file)).lines
    const [a, b] = [await keyFile('a-1'), await keyFile('b-1')]
    const signatures = async () => (await run('path-info', '--sigs', path!)).stdout.toString()
    expect((await run('sign', '-k', a, path!)).lines).toEqual([path])
    const once = await signatures()
    expect(await run('sign', '-k', a, path!)).toMatchObject({ code: 0, lines: [], stderr: '' })
    expect(await signatures()).toBe(once)
    const json = await run('sign', '-k', a, '-k', b, '--json', path!)
    expect(JSON.parse(json.lines[0]!)).toMatchObject({ storePath: path, added: 1 })
    expect((await signatures()).trim().startsWith(once.trim())).toBe(true)
    // An import of the same keeps them.
    await run('import', file)
    expect((await signatures()).match(/ [ab]-1:/g)).toHaveLength(2)
  })

  test('processes that sign at the same moment lose none of their signatures', async () => {
    const { path: store, run } = newStore()
    const folder = temporaryFolder()
    const names = Array.from({ length: 30 }, (_, i) => `file-${i}`)
    for (const name of names) writeFileSync(join(folder, name), name)
    await run('import', ...names.map((name) => join(folder, name)))
    const keys = await Promise.all(['a-1', 'b-1', 'c-1'].map(keyFile))
    const ran = await Promise.all(keys.map((key) => run('sign', '--all', '--key-file', key)))
    expect(ran.map(({ code, lines }) => [code, lines.length])).toEqual(keys.map(() => [0, names.length]))
    const publicKeys = keys.map((key) => SecretKey.parse(readFileSync(key, 'utf8')).publicKey)
    await using opened = await openStore(store, { readOnly: true })
    let paths = 0
    for await (const { signatures } of opened.pathInfos.list()) {
      expect(signatures.map(({ name }) => name).sort()).toEqual(publicKeys.map(({ name }) => name))
      paths++
    }
    expect(paths).toBe(names.length)
  })

  test('what cannot be signed is told in one line', async () => {
    const { run } = newStore()
    const file = join(temporaryFolder(), 'file')
    writeFileSync(file, 'x')
    const [path] = (await run('import', file)).lines
    const key = await keyFile('a-1')
    const missing = '/nix/store/00000000000000000000000000000000-dummy'
    const { code, lines, stderr } = await run('sign', '-k', key, missing, path!)
    expect([code, lines, stderr]).toEqual([1, [path], `neve: ${missing} is not in the store\n`])
    const wrong = await run('sign', '-k', file, path!)
    expect(wrong.code).toBe(1)
    expect(wrong.stderr).toMatch(ONE_LINE)
    expect(wrong.stderr).toContain('cannot use the key file')
  })
})
