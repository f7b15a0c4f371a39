import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Store } from '@neve/store-pathinfo'
import { temporaryFolder } from './support.js'

/** A name that would be a tag in a page, and a command in a terminal. */
export const NASTY = '<img src=x onerror=alert(1)>\u001b[31m'
/** Bytes that are no UTF-8. */
export const BYTES = Buffer.from([0x62, 0xff, 0xfe])
export const SCRIPT =
  '<!doctype html><title>theirs</title><script>document.title = "ran"</script><p>Hello</p><img src="i.svg">'

/** Imports a tree with all that a page has to show; gives the base name of its store path. */
export async function importSite(store: Store): Promise<string> {
  const root = join(temporaryFolder(), 'site')
  for (const folder of ['bin', 'deep/a/b', 'empty', 'docs'])
    mkdirSync(join(root, folder), { recursive: true })
  writeFileSync(join(root, 'README.md'), '# Site\n\nHello <b>World</b> & all\n')
  writeFileSync(join(root, 'bin/hello'), '#!/bin/sh\necho hello\n', { mode: 0o755 })
  writeFileSync(join(root, 'data.bin'), Buffer.from([0, 1, 2, 250, 251, 252]))
  writeFileSync(join(root, 'docs/index.html'), SCRIPT)
  writeFileSync(
    join(root, 'docs/i.svg'),
    '<svg xmlns="http://www.w3.org/2000/svg" width="7" height="7"><script>alert(1)</script></svg>',
  )
  writeFileSync(join(root, NASTY), 'nasty\n')
  writeFileSync(Buffer.concat([Buffer.from(`${root}/`), BYTES]), 'bytes\n')
  writeFileSync(join(root, '100% & "more"'), 'percent\n')
  writeFileSync(join(root, 'deep/a/b/leaf'), 'leaf\n')
  symlinkSync('hello', join(root, 'bin/hi'))
  symlinkSync('a/b', join(root, 'deep/short'))
  symlinkSync('loop', join(root, 'deep/loop'))
  symlinkSync('../../../../../etc/passwd', join(root, 'bin/outside'))
  symlinkSync('/etc/passwd', join(root, 'bin/absolute'))
  symlinkSync('nowhere', join(root, 'bin/dangling'))
  const { storePath } = await store.importPath(root)
  return storePath.toString()
}
