import type { LocalStore } from '@neve/store-pathinfo'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Chromium, chromiumIsMissing, type Tab } from './chromium.js'
import { importSite, NASTY } from './page-fixtures.js'
import { served, temporaryStore } from './support.js'

const missing = chromiumIsMissing()
if (missing !== undefined && process.env['NEVE_TEST_REQUIRE'] === 'all') throw new Error(missing)

describe.skipIf(missing !== undefined)(`in Chromium${missing === undefined ? '' : `: ${missing}`}`, () => {
  let store: LocalStore
  let site: string
  let at: string
  let browser: Chromium
  beforeAll(async () => {
    store = await temporaryStore()
    site = await importSite(store)
    at = (await served(store)).url
    browser = new Chromium()
  })
  afterAll(() => browser?.close())

  const width = (tab: Tab) =>
    tab.evaluate<[number, number]>('[document.documentElement.scrollWidth, innerWidth]')

  it('people find a file by its store path, its folder and its name, without scripts', async () => {
    const tab = await browser.tab()
    await tab.open(at)
    expect(await tab.text('h1')).toBe('A Nix binary cache')
    await tab.submit('input[name=q]', 'site')
    expect(await tab.texts('td .name')).toEqual(['site'])
    await tab.follow('td a.name')
    expect(await tab.text('h1')).toBe('site')
    await tab.follow('.listing a[href$="/bin/"]')
    expect(await tab.texts('.listing .name')).toEqual(['absolute', 'dangling', 'hello', 'hi', 'outside'])
    // Links that lead out of the store are not for clicking.
    expect(await tab.texts('.listing a')).toEqual(['dangling', 'hello', 'hi'])
    await tab.follow('.listing a[href*="/hi?"]')
    expect(await tab.text('h1')).toBe('hello')
    expect(await tab.text('pre')).toBe('#!/bin/sh\necho hello\n')
    await tab.follow('.crumbs a:nth-of-type(2)')
    expect(await tab.text('h1')).toBe('site')
    for (const view of ['Closure', 'Referrers', 'Storage']) {
      await tab.follow(`.tabs a[href$="show=${view.toLowerCase()}"]`)
      expect(await tab.text('.tabs a[aria-current]')).toBe(view)
    }
    expect(tab.complaints).toEqual([])
  })

  it('names that would be tags are text, and lead to their files', async () => {
    const tab = await browser.tab({ scripts: true })
    await tab.open(`${at}/nix/store/${site}`)
    expect(await tab.evaluate('document.images.length')).toBe(0)
    expect(await tab.texts('.listing .name')).toContain(NASTY.replace('\u001b', '\\u{1b}'))
    await tab.follow('.listing a[href*="%3Cimg"]')
    expect(await tab.text('pre')).toBe('nasty\n')
    await tab.open(`${at}/nix/store/${site}/`)
    await tab.follow('.listing a[href*="b%FF%FE"]')
    expect(await tab.text('pre')).toBe('bytes\n')
    expect(tab.complaints).toEqual([])
  })

  it('a document of the store is shown, and its scripts do not run', async () => {
    const tab = await browser.tab({ scripts: true })
    await tab.open(`${at}/nix/store/${site}/docs/index.html`)
    expect(await tab.text('p')).toBe('Hello')
    expect(await tab.evaluate('document.title')).toBe('theirs')
    expect(await tab.evaluate('self.origin')).toBe('null')
    // What stands beside it may be shown in it.
    expect(await tab.evaluate('document.images[0].naturalWidth')).toBe(7)
    expect(tab.complaints.join()).toContain('Blocked script execution')
  })

  it.each([360, 390, 800, 1400])('nothing is wider than a window of %i', async (wide) => {
    const tab = await browser.tab()
    await tab.look({ width: wide, mobile: wide < 500 })
    const places = ['', '/bin/hello?show=file', '?show=closure', '?show=referrers', '?show=storage']
    for (const path of ['/', ...places.map((place) => `/nix/store/${site}${place}`)]) {
      await tab.open(`${at}${path}`)
      expect([path, ...(await width(tab))]).toEqual([path, wide, wide])
    }
  })

  it('is dark where that is preferred', async () => {
    const tab = await browser.tab()
    const ground = () => tab.evaluate<string>('getComputedStyle(document.body).backgroundColor')
    await tab.look({ dark: false })
    await tab.open(at)
    const light = await ground()
    await tab.look({ dark: true })
    expect(await ground()).not.toBe(light)
  })
})
