import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { AccessTokens } from '@neve/castore-services/grpc/server'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseTokens } from '../src/grpc/server/access-tokens.js'
import { temporaryFolder } from './embedded-fixture.js'

const READ = 'read-0123456789abcdef'
const WRITE = 'write-0123456789abcdef'

function tokenFile(text: string, mode = 0o600): string {
  const path = join(temporaryFolder(), 'tokens')
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

describe('a file of tokens', () => {
  it('tells what each is good for', async () => {
    const tokens = await AccessTokens.fromFile(
      tokenFile(`# mine\n\nread ${READ}\r\n  write\t${WRITE}  \n`, 0o640),
    )
    expect(tokens.accessOf(`Bearer ${READ}`)).toBe('read')
    expect(tokens.accessOf(`bearer  ${WRITE} `)).toBe('write')
    const wrong = [
      undefined,
      '',
      READ,
      'Bearer',
      `Bearer ${READ}x`,
      `Basic ${READ}`,
      `Bearer ${READ} ${READ}`,
    ]
    const refused = [...wrong, `Bearer ${'x'.repeat(5000)}`, `Bearer ${READ.toUpperCase()}`]
    expect(refused.filter((header) => tokens.accessOf(header) !== undefined)).toEqual([])
  })

  it('is read again, and kept when it cannot be', async () => {
    const path = tokenFile(`read ${READ}\n`)
    const tokens = await AccessTokens.fromFile(path, { now: () => 0 })
    writeFileSync(path, `write ${WRITE}\n`)
    expect(tokens.accessOf(`Bearer ${WRITE}`)).toBeUndefined()
    await tokens.reload()
    expect(tokens.accessOf(`Bearer ${READ}`)).toBeUndefined()
    writeFileSync(path, 'nonsense')
    await expect(tokens.reload()).rejects.toThrow('line 1')
    expect(tokens.accessOf(`Bearer ${WRITE}`)).toBe('write')
  })

  it('is looked at once a second when it is used, and read again when it is another', async () => {
    const path = tokenFile(`read ${READ}\nwrite ${WRITE}\n`)
    const errors: unknown[] = []
    let now = 0
    const onError = (error: unknown): void => void errors.push(error)
    const tokens = await AccessTokens.fromFile(path, { now: () => now, onError })
    const access = () => [READ, WRITE].map((token) => tokens.accessOf(`Bearer ${token}`))
    renameSync(tokenFile(`write ${WRITE}\n`), path)
    now = 999
    expect(access()).toEqual(['read', 'write'])
    now = 1000
    expect(access()).toEqual([undefined, 'write'])

    // What it cannot use it tells once, and goes on with what there was.
    writeFileSync(path, 'nonsense')
    for (now = 2000; now < 6000; now += 1000) expect(access()).toEqual([undefined, 'write'])
    expect(errors).toEqual([expect.objectContaining({ code: 'invalid-input' })])
    chmodSync(path, 0o644)
    expect(access()).toEqual([undefined, 'write'])
    rmSync(path)
    for (now = 7000; now < 10_000; now += 1000) expect(access()).toEqual([undefined, 'write'])
    expect(errors.slice(1).map(String)).toEqual([
      expect.stringContaining('everybody'),
      expect.stringContaining('no such file'),
    ])
    renameSync(tokenFile(`read ${READ}\n`), path)
    now = 11_000
    expect(access()).toEqual(['read', undefined])
    expect(errors).toHaveLength(3)
  })

  it.each([
    ['nothing', '# nobody\n', 'expected a token, got none'],
    ['a token alone', `${READ}\n`, "line 1: expected 'read TOKEN' or 'write TOKEN'"],
    ['another word', `\nadmin ${READ}`, 'line 2: expected'],
    ['a short token', 'read 0123456789abcde', 'it has 15 characters, expected 16 to 512'],
    ['a long token', `read ${'x'.repeat(513)}`, 'it has 513 characters'],
    ['other characters', 'read 0123456789abcde!', 'letters, digits'],
    ['one twice', `read ${READ}\nwrite ${READ}`, 'line 2: this token is there already'],
    [
      'too many',
      Array.from({ length: 1025 }, (_, i) => `read ${READ}${i}`).join('\n'),
      'at most 1024 tokens',
    ],
  ])('is refused with %s, and no message has a token in it', async (_what, text, expected) => {
    const reading = AccessTokens.fromFile(tokenFile(text))
    await expect(reading).rejects.toThrow(expected)
    await expect(reading).rejects.toMatchObject({ code: 'invalid-input' })
    await expect(reading).rejects.not.toThrow(/0123456789/)
  })

  it.each([0o604, 0o602, 0o666])('is refused when everybody has access: %o', async (mode) => {
    await expect(AccessTokens.fromFile(tokenFile(`read ${READ}`, mode))).rejects.toThrow('everybody')
  })

  it('is refused when it is none, is not there, or is too long', async () => {
    const folder = join(temporaryFolder(), 'folder')
    mkdirSync(folder, { mode: 0o700 })
    await expect(AccessTokens.fromFile(folder)).rejects.toThrow('no file')
    await expect(AccessTokens.fromFile(join(folder, 'none'))).rejects.toThrow('no such file')
    await expect(AccessTokens.fromFile(tokenFile('#'.repeat(65_537)))).rejects.toThrow(
      'longer than 65536 bytes',
    )
    await expect(AccessTokens.fromFile('/dev/zero')).rejects.toThrow('no file')
  })

  it('whatever it holds: tokens, or a refusal of ours', () => {
    const piece = fc.constantFrom('read', 'write', ' ', '\t', '\n', '\r', '#', READ, WRITE, '=')
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(piece).map((pieces) => pieces.join('')),
        ),
        (text) => {
          try {
            expect(parseTokens(text, 'tokens').length).toBeGreaterThan(0)
          } catch (error) {
            expect(error).toMatchObject({ name: 'CastoreError', code: 'invalid-input' })
          }
        },
      ),
    )
  })
})
