import {
  formatCacheInfo,
  NarInfoError,
  parseCacheInfo,
  parseNarFileName,
  parseStorePathFileName,
} from '@neve/nix-compat'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { anyText } from './any-text.js'
import { acceptedOr, fromHex, refusal } from './refusal.js'

describe('names of files in binary caches', () => {
  const nar = '14cx20k6z4hq508kqi2lm79qfld5f9mf7kiafpqsjs3zlmycza0k'
  const digest = fromHex('13a8cf7ca57f68a9f1752acee36a72a55187d3a954443c112818926f26109d91')
  const path = '00bgd045z0d4icpbc2yyz4gx48ak44la'

  test.each([
    [`${nar}.nar`, ''],
    [`${nar}.nar.xz`, '.xz'],
    [`${nar}.nar.zst`, '.zst'],
    [`${nar}.nar.bz2`, '.bz2'],
  ])('07#41 %s', (name, suffix) => {
    expect(parseNarFileName(name)).toEqual({ digest, suffix })
  })

  test.each([
    nar.slice(1),
    `${nar.slice(1)}.nar`,
    nar,
    `${nar}.nah`,
    `${nar}.nar.`,
    `${nar}.nar.xz.xz`,
    `${nar}.nar/x`,
    `/${nar}.nar`,
    `nar/${nar}.nar`,
    `e${nar.slice(1)}.nar`,
    `z${nar.slice(1)}.nar`,
    `${nar.toUpperCase()}.nar`,
    `${nar}.nar\n`,
    '',
  ])('07#41 not one: %j', (name) => {
    expect(parseNarFileName(name)).toBeUndefined()
  })

  test('07#42 of store paths', () => {
    const expected = fromHex('8a12321522fd91efbd60ebb2481af88580f61600')
    expect(parseStorePathFileName(`${path}.narinfo`)).toEqual({ digest: expected, kind: 'narinfo' })
    expect(parseStorePathFileName(`${path}.ls`)).toEqual({ digest: expected, kind: 'ls' })
  })

  test.each([
    path,
    `/${path}.narinfo`,
    '000000',
    '000000.narinfo',
    `e${path.slice(1)}.narinfo`,
    `${path}.nah`,
    '',
  ])('07#42 not one: %j', (name) => {
    expect(parseStorePathFileName(name)).toBeUndefined()
  })
})

describe('nix-cache-info', () => {
  test.each([
    ['StoreDir: /nix/store\n', {}],
    ['StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 40\n', { wantMassQuery: true, priority: 40 }],
    ['StoreDir: /nix/store\nWantMassQuery: 0\n', { wantMassQuery: false }],
    ['StoreDir: /nix/store\nPriority: -1\n', { priority: -1 }],
  ])('%j, both ways', (text, info) => {
    expect(formatCacheInfo(info)).toBe(text)
    expect(parseCacheInfo(text)).toMatchObject(info)
  })

  test('what is unusual is understood', () => {
    expect(parseCacheInfo('')).toEqual({})
    expect(parseCacheInfo('Else: what\nPriority:30\n\nWantMassQuery: 1')).toMatchObject({
      priority: 30,
      wantMassQuery: true,
    })
  })

  test.each([
    ['StoreDir: /gnu/store\n', 'invalid-field'],
    ['Priority: high\n', 'invalid-field'],
    ['WantMassQuery: yes\n', 'invalid-field'],
    ['<html>\n', 'invalid-line'],
    ['a'.repeat(100_000), 'too-long'],
  ])('refused: %s', (text, code) => {
    expect(refusal(NarInfoError, () => parseCacheInfo(text)).code).toBe(code)
  })

  test('fuzz: any text is refused, or read', () => {
    fc.assert(
      fc.property(anyText(40), (text) => {
        const info = acceptedOr(NarInfoError, () => parseCacheInfo(text))
        if (info !== undefined) expect(parseCacheInfo(formatCacheInfo(info))).toEqual(info)
      }),
      { numRuns: 2000 },
    )
  })
})
