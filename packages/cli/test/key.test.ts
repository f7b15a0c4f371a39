import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SecretKey } from '@neve/nix-compat'
import { describe, expect, test } from 'vitest'
import { missingProgram, neve, ONE_LINE, requireReal, temporaryFolder } from './support.js'

describe('key', () => {
  test('generate writes a secret key for its owner alone, and prints the public one', async () => {
    const file = join(temporaryFolder(), 'secret')
    const { code, lines, stderr } = await neve(['key', 'generate', 'cache.example.org-1', '-o', file])
    expect([code, stderr]).toEqual([0, ''])
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const key = SecretKey.parse(readFileSync(file, 'utf8'))
    expect(key.name).toBe('cache.example.org-1')
    expect(lines).toEqual([key.publicKey.toString()])
    expect((await neve(['key', 'public', file])).lines).toEqual(lines)
    const again = await neve(['key', 'generate', 'cache.example.org-1', '-o', file])
    expect(again.code).toBe(1)
    expect(again.stderr).toMatch(ONE_LINE)
    expect(SecretKey.parse(readFileSync(file, 'utf8')).publicKey.equals(key.publicKey)).toBe(true)
  })

  test('generate without a file prints the secret key, another one each time', async () => {
    const made = await Promise.all([1, 2].map(() => neve(['key', 'generate', 'test-1'])))
    const keys = made.map(({ lines }) => SecretKey.parse(lines[0]!).publicKey.toString())
    expect(keys[0]).not.toBe(keys[1])
  })

  test('generate leaves nothing of a key that could not be written', async () => {
    const file = join(temporaryFolder(), 'secret')
    const through = ['prlimit', '--fsize=10']
    const { code, stderr, stdout } = await neve(['key', 'generate', 'test-1', '-o', file], { through })
    expect([code, stdout.length]).toEqual([1, 0])
    expect(stderr).toMatch(ONE_LINE)
    expect(existsSync(file)).toBe(false)
  })

  test('public equals what Nix says of the same key', async (context) => {
    requireReal(context, missingProgram('nix', '--version'))
    const file = join(temporaryFolder(), 'secret')
    const { lines } = await neve(['key', 'generate', 'test-1', '-o', file])
    const args = ['--extra-experimental-features', 'nix-command', 'key', 'convert-secret-to-public']
    const { PATH } = process.env
    const HOME = temporaryFolder()
    const said = execFileSync('nix', args, { input: readFileSync(file), env: { PATH, HOME } }).toString()
    expect(said.trim()).toBe(lines[0])
  })

  test.each([
    ['no key at all', 'expected <name>:<base64>'],
    ['test-1:AAAA\n', 'secret key'],
  ])('public of a file with %j is one line, without what is in it', async (text, message) => {
    const file = join(temporaryFolder(), 'secret')
    writeFileSync(file, text)
    const { code, stderr, stdout } = await neve(['key', 'public', file])
    expect([code, stdout.length]).toEqual([1, 0])
    expect(stderr).toMatch(ONE_LINE)
    expect(stderr).toContain(message)
    expect(stderr).not.toContain('AAAA')
  })
})
