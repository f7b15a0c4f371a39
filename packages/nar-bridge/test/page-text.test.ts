import { escapeBytes, PathComponent } from '@neve/castore-model'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { attachment } from '../src/content-disposition.js'
import { isText, typeByContent, typeByName } from '../src/media-types.js'
import { html } from '../src/page/html.js'
import { showBytes, showText } from '../src/page/show-bytes.js'
import { decodeNames, encodeName, encodeNames } from '../src/url-names.js'

const name = fc
  .uint8Array({ minLength: 1, maxLength: 40 })
  .filter(
    (bytes) =>
      !bytes.includes(0) && !bytes.includes(0x2f) && !/^\.\.?$/.test(Buffer.from(bytes).toString('latin1')),
  )
const text = fc.string({ unit: 'binary' })

describe('names in URLs', () => {
  it('come back as they went, and mean the same to a browser', () => {
    fc.assert(
      fc.property(fc.array(name, { minLength: 1 }), (names) => {
        const path = encodeNames(names)
        expect(decodeNames(path)?.map(({ bytes }) => Buffer.from(bytes))).toEqual(
          names.map((one) => Buffer.from(one)),
        )
        expect(new URL(`http://x/${path}`).pathname).toBe(`/${path}`)
      }),
    )
  })

  it('whatever is read is names, or nothing', () => {
    fc.assert(
      fc.property(fc.string(), (path) => {
        for (const one of decodeNames(path) ?? []) PathComponent.validate(one.bytes)
      }),
    )
  })

  it.each(['.', '..', '%2e', '%2E%2e', '%2f', 'a%2Fb', '%00', '%', '%4', '%gg', 'a//b', '/', 'a/', '%25%'])(
    '%s is none',
    (path) => {
      expect(decodeNames(path)).toBeUndefined()
    },
  )
})

describe('html', () => {
  it('has no value that ends its place', () => {
    fc.assert(
      fc.property(text, (value) => {
        const { text: made } = html`<a title="${value}">${value}</a>`
        expect(made.match(/[<>"']/g)?.join('')).toBe('<"">' + '<>')
      }),
    )
  })

  it('shows bytes without anything that a browser or terminal acts on', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const shown = showBytes(bytes).text.replaceAll(/<span class="odd">|<\/span>/g, '')
        expect(shown).not.toMatch(/[<>"']|\p{Cc}|\p{Cf}/u)
      }),
    )
    expect(showBytes(Buffer.from('a\\b"c')).text).toBe('a\\b&quot;c')
    expect(showBytes(Buffer.from('\u202egpj')).text).toBe('<span class="odd">\\u{202e}</span>gpj')
    expect(escapeBytes(Buffer.from('é'))).toBe(showBytes(Buffer.from('é')).text)
  })

  it('shows text with its lines, and what hides in it', () => {
    expect(showText('a\tb\r\nc').text).toBe('a\tb\nc')
    expect(showText('if (x\u202e) {\u0007').text).toBe(
      'if (x<span class="odd">\\u{202e}</span>) {<span class="odd">\\u{7}</span>',
    )
  })
})

describe('Content-Disposition', () => {
  it('is one header, whatever the name', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const value = attachment(bytes, '.tar')
        expect(value).toMatch(/^attachment; filename="[\x20-\x7e]*\.tar"(; filename\*=UTF-8''[\w.!~%-]*)?$/)
        expect(value.match(/"/g)?.length).toBe(2)
        expect(value).not.toMatch(/[/\\:?<>|]/)
        new Headers({ 'content-disposition': value })
      }),
    )
    expect(attachment(Buffer.from('été'))).toBe(`attachment; filename="_t_"; filename*=UTF-8''%C3%A9t%C3%A9`)
  })
})

describe('media types', () => {
  it.each([
    ['a.html', 'text/html; charset=utf-8'],
    ['A.PNG', 'image/png'],
    ['x.tar.gz', 'application/gzip'],
    ['feed.atom', 'application/atom+xml; charset=utf-8'],
    ['x.constructor', undefined],
    ['html', undefined],
    ['.', undefined],
    ['x.\u202ehtml', undefined],
  ])('%s is %s', (file, type) => {
    expect(typeByName(Buffer.from(file))).toBe(type)
  })

  it('of the rest are told by the beginning', () => {
    expect(typeByContent(Buffer.from('#!/bin/sh\n'))).toBe('text/plain; charset=utf-8')
    expect(typeByContent(Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 0]))).toBe('application/octet-stream')
    // What is cut within a character is text still.
    expect(isText(Buffer.from('aé').subarray(0, 2))).toBe(true)
    expect(isText(Buffer.from([0x61, 0xff]))).toBe(false)
    expect(typeByContent(new Uint8Array(0))).toBe('text/plain; charset=utf-8')
  })
})

it('a name in a URL has no character that a header or an attribute would need to escape', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      expect(encodeName(bytes)).toMatch(/^[A-Za-z0-9\-._~+=,@%]*$/)
    }),
  )
})
