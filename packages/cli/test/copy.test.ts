import { execFileSync } from 'node:child_process'
import { chmodSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { makeNixClosure, type NixClosure } from './nix-closure.js'
import { missingProgram, neve, newStore, ONE_LINE, requireReal, temporaryFolder } from './support.js'
import { serving } from './whole-store-daemon.js'

type Described = Record<string, unknown> & { readonly path: string; readonly references: string[] }

/** What real Nix says of its closure, and a file with it. */
function described({ nix, top }: NixClosure) {
  const text = nix('nix', 'path-info', '--json', '--recursive', '--closure-size', top).toString()
  const infos = JSON.parse(text) as Described[]
  const file = join(temporaryFolder(), 'closure.json')
  writeFileSync(file, text)
  return { text, infos, file }
}

const paths = (infos: readonly Described[]) => infos.map(({ path }) => path).sort()

describe('copy, of what real Nix has', () => {
  test('takes over contents, references, derivers, content addresses and signatures', async (context) => {
    requireReal(context, missingProgram('nix', '--version'))
    const closure = makeNixClosure()
    const { infos, file } = described(closure)
    const { run } = newStore()
    const copied = await run('copy', '--root', closure.root, file)
    expect([copied.code, copied.stderr]).toEqual([0, ''])
    expect([...copied.lines].sort()).toEqual(paths(infos))
    for (const { path, references } of infos) {
      for (const reference of references) {
        expect(copied.lines.indexOf(reference)).toBeLessThanOrEqual(copied.lines.indexOf(path))
      }
      const dumped = closure.run('nix-store', ['--dump', join(closure.root, path)])
      expect((await run('nar', path)).stdout.equals(dumped)).toBe(true)
    }
    const said = JSON.parse((await run('path-info', '--json', '-rS', closure.top)).stdout.toString())
    const known = infos.map(({ registrationTime: _time, ultimate: _ultimate, ...info }) => info)
    expect(said).toHaveLength(known.length)
    expect(said).toEqual(expect.arrayContaining(known))
    // Nothing is read again, and nothing printed.
    rmSync(join(closure.root, closure.text), { force: true })
    expect(await run('copy', '--root', closure.root, file)).toMatchObject({ code: 0, lines: [], stderr: '' })
    const again = await run('copy', '--json', '--root', closure.root, file)
    expect(new Set(again.lines.map((line) => JSON.parse(line).status))).toEqual(new Set(['present']))
  })

  test('reads standard input, sockets, lines and structured attributes', async (context) => {
    requireReal(context, missingProgram('nix', '--version'))
    const closure = makeNixClosure()
    const { text, infos, file } = described(closure)
    const lines = infos.map((info) => JSON.stringify(info)).join('\n')
    const attributes = join(temporaryFolder(), 'attrs.json')
    writeFileSync(attributes, JSON.stringify({ closure: infos, name: 'x' }))
    const socket = join(temporaryFolder(), 'socket')
    const server = createServer((connection) => connection.end(lines))
    await new Promise<void>((resolve) => server.listen(socket, resolve))
    onTestFinished(() => void server.close())
    const at = ['copy', '--root', closure.root]
    for (const [args, options] of [
      [['-'], { input: Buffer.from(text) }],
      [['--jsonl', '-'], { input: Buffer.from(lines) }],
      [['--jsonl', socket], {}],
      [[socket], { env: { NEVE_JSONL: '1' } }],
      [[socket], { env: { JSONL: 'true' } }],
      [[attributes], { env: { JSONL: '1', NEVE_JSONL: '0' } }],
      [[], { env: { NIX_ATTRS_JSON_FILE: attributes } }],
      [[], { env: { NEVE_NIX_ATTRS_JSON_FILE: file, NIX_ATTRS_JSON_FILE: '/nowhere' } }],
    ] as const) {
      const store = join(temporaryFolder(), 'store')
      const { code, lines: printed, stderr } = await neve(['--store', store, ...at, ...args], options)
      expect([code, stderr]).toEqual([0, ''])
      expect(printed.sort()).toEqual(paths(infos))
    }
  })

  test('08 section 9: what is not as described is refused, and what references it', async (context) => {
    requireReal(context, missingProgram('nix', '--version'))
    const closure = makeNixClosure()
    const { infos, file } = described(closure)
    const changed = join(closure.root, closure.text)
    chmodSync(changed, 0o644)
    writeFileSync(changed, 'something else')
    const { path: store, run } = newStore()
    const stopped = await run('copy', '--root', closure.root, file)
    expect(stopped.code).toBe(1)
    expect(stopped.stderr).toMatch(ONE_LINE)
    expect(stopped.stderr).toContain(`${closure.text}: the NAR has another size: expected`)
    const rest = paths(infos).filter((path) => path !== closure.text && path !== closure.top)
    const other = join(temporaryFolder(), 'store')
    const args = ['--store', other, 'copy', '--root', closure.root, '--keep-going', file]
    const { code, lines, stderr } = await neve(args)
    expect([code, lines.sort()]).toEqual([1, rest])
    expect(stderr).toContain(`${closure.top} was not copied: it references ${closure.text}`)
    expect((await neve(['--store', other, 'path-info', closure.text])).code).toBe(1)
    const json = await neve([...args, '--json'])
    expect(json.lines.map((line) => JSON.parse(line))).toEqual(
      expect.arrayContaining([
        { status: 'failed', storePath: closure.text, error: expect.stringContaining('another size') },
        { status: 'present', storePath: rest[0], narSize: expect.any(Number) },
      ]),
    )
    const trusting = await neve(['--store', store, 'copy', '--root', closure.root, '--no-verify', file])
    expect([trusting.code, trusting.lines.includes(closure.top)]).toEqual([0, true])
  })

  test('what is no description is told in one line', async () => {
    const { run } = newStore()
    const folder = temporaryFolder()
    const file = join(folder, 'x.json')
    for (const [text, message] of [
      ['', `${file}: expected JSON`],
      ['[{"path":"/etc/passwd"}]', `${file}: entry 0: path`],
      ['{"version":9,"info":{}}', `${file}: the document: version: expected 2, got 9`],
    ] as const) {
      writeFileSync(file, text)
      const { code, lines, stderr } = await run('copy', file)
      expect(stderr).toMatch(ONE_LINE)
      expect(stderr).toContain(message)
      expect([code, lines]).toEqual([1, []])
    }
    expect((await run('copy', join(folder, 'missing'))).stderr).toContain('no such file')
    writeFileSync(file, '[]')
    expect(await run('copy', file)).toMatchObject({ code: 0, lines: [], stderr: '' })
  })

  test('the daemon takes a closure from it', async (context) => {
    requireReal(context, missingProgram('nix', '--version'))
    const closure = makeNixClosure()
    const { infos, file } = described(closure)
    const daemon = await serving()
    const copied = await neve(['copy', '--root', closure.root, file, ...daemon.at])
    expect([copied.code, copied.stderr]).toEqual([0, ''])
    expect(copied.lines.sort()).toEqual(paths(infos))
    const dumped = execFileSync('nix-store', ['--dump', join(closure.root, closure.text)])
    expect((await neve(['nar', closure.text, ...daemon.at])).stdout.equals(dumped)).toBe(true)
  })
})
