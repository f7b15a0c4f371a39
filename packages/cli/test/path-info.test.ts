import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { makeNixClosure, type NixClosure } from './nix-closure.js'
import {
  missingProgram,
  neve,
  newStore,
  ONE_LINE,
  type Ran,
  requireReal,
  temporaryFolder,
} from './support.js'

/** A store with the closure of real Nix in it. */
async function copied(closure: NixClosure): Promise<(...args: string[]) => Promise<Ran>> {
  const { nix, root, top } = closure
  const { path, run } = newStore()
  const input = nix('nix', 'path-info', '--json', '-r', top)
  const { code } = await neve(['--store', path, 'copy', '--root', root, '-'], { input })
  expect(code).toBe(0)
  return run
}

const sorted = (text: Buffer | string) => text.toString().trimEnd().split('\n').sort()

describe('path-info, against real Nix', () => {
  test.for(['-r -s -S --sigs', '-r -S', '-s', '-r --sigs', '-S -s', ''])(
    'prints the same: %s',
    async (text, context) => {
      const flags = text.split(' ').filter((flag) => flag !== '')
      requireReal(context, missingProgram('nix', '--version'))
      const closure = makeNixClosure()
      const run = await copied(closure)
      for (const path of [closure.top, closure.text]) {
        const { code, stdout, stderr } = await run('path-info', ...flags, path)
        expect([code, stderr]).toEqual([0, ''])
        expect(sorted(stdout)).toEqual(sorted(closure.nix('nix', 'path-info', ...flags, path)))
      }
      const human = [...flags.filter((flag) => flag !== '-r'), '-s']
      const ours = await run('path-info', ...human, '--human-readable', closure.top)
      expect(ours.stdout.toString()).toBe(
        closure.nix('nix', 'path-info', ...human, '-h', closure.top).toString(),
      )
    },
  )

  test('prints the same JSON as of a binary cache, and every path with --all', async (context) => {
    requireReal(context, missingProgram('nix', '--version'))
    const closure = makeNixClosure()
    const run = await copied(closure)
    const cache = `file://${closure.root}/../cache?compression=none`
    closure.nix('nix', 'copy', '--to', cache, closure.top)
    const of = (text: Buffer) => JSON.parse(text.toString()) as readonly Record<string, unknown>[]
    const byPath = (infos: readonly Record<string, unknown>[]) =>
      [...infos].sort((a, b) => String(a['path']).localeCompare(String(b['path'])))
    for (const flags of [['-r', '-S'], ['-r'], ['-S'], []]) {
      const args = ['path-info', '--json', ...flags]
      const theirs = of(closure.run('nix', [...args, '--store', cache, closure.top])).map(
        ({ url: _url, downloadHash: _hash, downloadSize: _size, closureDownloadSize: _sum, ...info }) => info,
      )
      const ours = await run(...args, closure.top)
      expect([ours.code, ours.stderr]).toEqual([0, ''])
      expect(byPath(of(ours.stdout))).toEqual(byPath(theirs))
    }
    const all = of((await run('path-info', '--all', '--json', '-S')).stdout)
    expect(byPath(all)).toEqual(
      byPath(of((await run('path-info', '-r', '--json', '-S', closure.top)).stdout)),
    )
    const text = sorted((await run('path-info', '--all')).stdout)
    expect(text).toEqual(all.map(({ path }) => path).sort())
  })

  test('of a binary cache fetches narinfo files, and no contents', async (context) => {
    requireReal(context, missingProgram('nix', '--version'))
    const closure = makeNixClosure()
    const cache = join(temporaryFolder(), 'cache')
    closure.nix('nix', 'copy', '--to', `file://${cache}?compression=none`, closure.top)
    const asked: string[] = []
    const server = createServer(({ url = '' }, response) => {
      asked.push(url)
      const file = join(cache, url)
      if (existsSync(file)) response.end(readFileSync(file))
      else response.writeHead(404).end()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const { port } = server.address() as AddressInfo
    const upstream = ['--path-info-service-addr', `nix+http://127.0.0.1:${port}`]
    const contents = ['--blob-service-addr', 'memory:', '--directory-service-addr', 'memory:']
    const args = ['-r', '-s', '-S', '--sigs', closure.top]
    const { code, stdout, stderr } = await neve(['path-info', ...contents, ...upstream, ...args])
    expect([code, stderr]).toEqual([0, ''])
    expect(sorted(stdout)).toEqual(sorted(closure.nix('nix', 'path-info', ...args)))
    expect(asked.length).toBeGreaterThanOrEqual(4)
    expect(asked.filter((url) => !url.endsWith('.narinfo'))).toEqual([])
  })

  test('what is not there is told; in JSON it is said there, as Nix does', async (context) => {
    requireReal(context, missingProgram('nix', '--version'))
    const closure = makeNixClosure()
    const run = await copied(closure)
    const missing = '/nix/store/00000000000000000000000000000000-dummy'
    const { code, lines, stderr } = await run('path-info', missing, closure.text)
    expect([code, lines]).toEqual([1, [closure.text]])
    expect(stderr).toBe(`neve: ${missing} is not in the store\n`)
    const args = ['path-info', '--json', missing]
    const json = await run(...args)
    expect([json.code, json.stdout.toString().trim()]).toEqual([0, closure.nix('nix', ...args).toString()])
    const keyed = await run(...args, '--json-format', '1')
    expect(JSON.parse(keyed.stdout.toString())).toEqual({ [missing]: null })
    expect((await run('path-info', '-r', missing)).stderr).toMatch(ONE_LINE)
  })
})
