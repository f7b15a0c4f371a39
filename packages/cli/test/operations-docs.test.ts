import { cpSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startDaemon } from './servers.js'
import { neve, noise, sampleTree, temporaryFolder } from './support.js'

const GUIDE = readFileSync(new URL('../../../docs/operations.md', import.meta.url), 'utf8')
const SHOWN = '/nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result'
const SHOWN_OTHER = '/nix/store/6zz6rdnrwgvmg61lhz5bk2pxbkzx6cc8-other'

/** The commands of the blocks that follow a heading, as words. */
function commandsUnder(heading: string): string[][] {
  const section = GUIDE.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? ''
  const blocks = [...section.matchAll(/^```console\n(.*?)^```$/gms)].map(([, block]) => block!)
  const lines = blocks.flatMap((block) => block.split('\n')).filter((line) => line.startsWith('$ neve '))
  return lines.map((line) => line.slice('$ neve '.length).split(' '))
}

/** A store with the two store paths that the guide speaks of. */
async function guideStore() {
  const folder = temporaryFolder()
  const store = join(folder, 'store')
  const other = join(folder, 'other')
  mkdirSync(other)
  writeFileSync(join(other, 'large'), noise(1_000_000))
  const { lines } = await neve(['import', '--store', store, sampleTree(folder), other])
  const real = (word: string): string => word.replace(SHOWN, lines[0]!).replace(SHOWN_OTHER, lines[1]!)
  return { folder, store, real }
}

/** Runs the commands of a section, one after the other, in a store that has what they speak of. */
async function runSection(heading: string, expected: readonly string[]): Promise<void> {
  const { folder, store, real } = await guideStore()
  // A daemon does not end by itself.
  const commands = commandsUnder(heading).filter(([name]) => name !== 'daemon')
  if (heading === 'Whether it is sound') cpSync(store, join(folder, 'backup-neve'), { recursive: true })
  expect(commands.map(([name, what]) => (name === 'store' ? what : name))).toEqual(expected)
  for (const words of commands) {
    const args = words.map((word) =>
      real(word)
        .replace('/var/lib/neve', store)
        .replace('/var/lib/other', join(folder, 'other-store'))
        .replace('///mnt/', `//${folder}/mnt-`)
        .replace(/^\/nix\/var\/nix\/gcroots$/, folder)
        .replace(/^\/(backup|mnt)\//, `${folder}/$1-`),
    )
    const env = words[1] === 'migrate' ? {} : { NEVE_STORE: store }
    const ran = await neve(args, { env, cwd: folder })
    expect([words.join(' '), ran.code, ran.stderr]).toEqual([words.join(' '), 0, ''])
  }
}

test.each([
  ['What a store holds', ['info', 'info', 'du', 'why', 'diff']],
  ['Whether it is sound', ['verify', 'verify', 'verify', 'verify', 'verify']],
  ['To another backend', ['migrate', 'migrate']],
  ['Backups', ['snapshot', 'verify', 'snapshot']],
  ['What stays, and what is garbage', ['root', 'root', 'import', 'root', 'root', 'gc', 'gc', 'gc']],
])('what docs/operations.md shows under %s works as it is shown', runSection)

test('what docs/operations.md shows of a bucket works as it is shown', async () => {
  const { folder, store, real } = await guideStore()
  const bucket = join(folder, 'bucket')
  const address = `objectstore+file://${bucket}`
  expect(await neve(['store', 'migrate', store, address])).toMatchObject({ code: 0 })
  // The first collection only tells when there will be garbage that can go.
  expect((await neve(['gc', '--all', '--store', address])).code).toBe(1)
  const then = new Date(Date.now() - 3 * 86_400_000)
  for (const name of readdirSync(bucket, { recursive: true, encoding: 'utf8' })) {
    utimesSync(join(bucket, name), then, then)
  }
  const shown = commandsUnder('In a bucket, or other object stores')
  expect(shown.map(([name]) => name)).toEqual(['root', 'gc', 'gc', 'gc', 'daemon'])
  for (const words of shown) {
    const args = words.map((word) => real(word).replace('objectstore+s3://bucket/prefix', address))
    if (args[0] === 'daemon') {
      const daemon = await startDaemon([...args.slice(1), '-l', join(folder, 's.sock')], {}, 'daemon')
      expect(await daemon.stop()).toBe(0)
      continue
    }
    const ran = await neve(args)
    expect([words.join(' '), ran.code, ran.stderr]).toEqual([words.join(' '), 0, ''])
  }
  const blocks = [...GUIDE.matchAll(/^```toml\n(.*?)^```$/gms)].map(([, block]) => block!)
  const toml = blocks.filter((block) => block.includes('object_store_url'))
  expect(toml).toHaveLength(1)
  const place = toml[0]!.replace('s3://bucket/prefix', `file://${bucket}`)
  const tables = ['blobservices', 'directoryservices'].map(
    (table) => `[${table}.bucket]\n${place.split('\n').slice(1, 3).join('\n')}\n`,
  )
  writeFileSync(join(folder, 'stores.toml'), `${tables.join('')}${place}`)
  expect(await neve(['gc', '--dry-run', '--store', join(folder, 'stores.toml')])).toMatchObject({
    code: 0,
    stderr: '',
  })
})

test.each(['Whether it is sound', 'With a daemon'])(
  'the daemons that docs/operations.md shows under %s run as they are shown',
  async (heading) => {
    const { folder, store } = await guideStore()
    const shown = commandsUnder(heading).filter(([name]) => name === 'daemon')
    expect(shown.length).toBeGreaterThan(0)
    for (const [, ...flags] of shown) {
      const args = [...flags, '--store', store, '-l', join(folder, 's.sock')]
      const daemon = await startDaemon(args, {}, 'daemon', { cwd: folder })
      expect(await daemon.stop()).toBe(0)
    }
  },
)
