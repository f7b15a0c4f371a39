import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { describe, expect, test } from 'vitest'
import { missingProgram, NEVE, neve, newStore, ONE_LINE, temporaryFolder } from './support.js'

const COMMANDS = [
  'import',
  'import-archive',
  'import-nar',
  'copy',
  'path-info',
  'sign',
  'ls',
  'cat',
  'stat',
  'nar',
  'export',
  'copy-castore',
  'push',
  'pull',
  'verify',
  'store',
  'daemon',
  'castore-daemon',
  'config',
  'key',
  'completion',
]
const DIGEST = 'f'.repeat(64)
const ADDRESS = '/nix/store/zmpf8f0xn964s01661c424y9cx9pl1wn-aa'

describe('help and version', () => {
  test('the version, by both options and anywhere', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
    for (const args of [['--version'], ['-V'], ['ls', '--version']]) {
      expect(await neve(args)).toMatchObject({ code: 0, lines: [`neve ${version}`], stderr: '' })
    }
  })

  test('the version needs no module but the smallest ones', () => {
    const source = readFileSync(NEVE, 'utf8')
    expect(source.startsWith('#!/usr/bin/env node\n')).toBe(true)
    const loaded = [...source.matchAll(/^import .*from '(.*)'|^import '(.*)'/gm)].map((m) => m[1] ?? m[2]!)
    expect(source.length).toBeLessThan(4000)
    for (const name of loaded.filter((module) => !isBuiltin(module))) {
      const chunk = readFileSync(new URL(name, `file://${NEVE}`), 'utf8')
      expect(chunk, name).not.toMatch(/^import .*from/m)
      expect(chunk.length, name).toBeLessThan(4000)
    }
  })

  test('without a command, help goes to stderr with status 2', async () => {
    const { code, stdout, stderr } = await neve([])
    expect([code, stdout.length]).toEqual([2, 0])
    for (const name of COMMANDS) expect(stderr).toContain(`\n  ${name} `)
  })

  test.each(COMMANDS)('help of %s has examples and the global options, in both forms', async (name) => {
    const { code, stdout, stderr } = await neve([name, '--help'])
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout.toString()).toContain(`Usage: neve ${name} `)
    expect(stdout.toString()).toContain(`Examples:\n  $ neve ${name}`)
    for (const flag of ['--store <address>', '--store-config <file>', '--blob-service-addr <address>']) {
      expect(stdout.toString()).toContain(flag)
    }
    expect((await neve(['help', name])).stdout.equals(stdout)).toBe(true)
  })
})

describe('mistakes in the command line give one line and status 2', () => {
  test.each([
    [['imprt'], "unknown command 'imprt' (did you mean import?)"],
    [['frobnicate'], "unknown command 'frobnicate'"],
    [['ls', '--jsn', 'x'], "unknown option '--jsn' (did you mean --json?)"],
    [['--stroe', 'x', 'ls'], "unknown option '--stroe' (did you mean --store?)"],
    [['ls'], "missing required argument 'address'"],
    [['ls', 'a', 'b'], "too many arguments for 'ls': expected 1 argument but got 2"],
    [['cat'], "missing required argument 'address'"],
    [['export', ADDRESS], "missing required argument 'dest'"],
    [['export', ADDRESS, ''], 'expected a path to write to'],
    [['nar', ADDRESS, '-o', ''], '-o needs the name of a file'],
    [['--store'], "option '--store <address>' argument missing"],
    [['--store', '', 'ls', ADDRESS], '--store needs an address, got ""'],
    [['--store', 'redb:///x', 'ls', ADDRESS], 'write embedded:/path/to/folder'],
    [['--store', 's3://bucket', 'ls', ADDRESS], 'Unknown type: s3'],
    [['push', ADDRESS], "required option '--to <address>' not specified"],
    [['push', '--to', 'x'], 'expected store paths, or --all'],
    [['verify'], 'expected store paths, or --all'],
    [['verify', '--all', ADDRESS], '--all takes no store paths'],
    [['store', 'frobnicate'], "unknown command 'frobnicate'"],
    [['store', 'info', '--top', 'x'], '--top "x": expected a number from 1 to 1000'],
    [['store', 'du'], "missing required argument 'address'"],
    [['store', 'why', DIGEST], 'expected a store path'],
    [['store', 'diff', ADDRESS], "missing required argument 'other'"],
    [['verify', '--all', '--repair'], '--repair needs --from ADDRESS'],
    [['verify', '--all', '--from', 'x'], '--from is for --repair'],
    [['verify', '--resume', 'x', ADDRESS], '--resume is for --all'],
    [['verify', '--all', '--bandwidth', 'fast'], '--bandwidth "fast": expected a number of bytes'],
    [['push', '--to', 'x', '--all', ADDRESS], '--all takes no store paths'],
    [['pull', '--from', 'x', DIGEST], 'expected a store path'],
    [['pull', '--from', 'redb:///x', ADDRESS], 'write embedded:/path/to/folder'],
    [
      ['pull', '--from', 'x', '--thorough', '--trust-directories', ADDRESS],
      '--thorough and --trust-directories cannot be given together',
    ],
    [['config'], "missing required argument 'what'"],
    [['config', 'draw'], 'expected one of check, schema'],
    [['config', 'check'], 'config check needs the name of a file'],
    [['config', 'schema', 'x'], 'config schema takes no file'],
    [['--store', 'x', 'config', 'check', 'y'], 'config takes no --store'],
    [['key', 'generate'], "missing required argument 'name'"],
    [['key', 'generate', 'a b'], 'name'],
    [['key', 'generate', ''], 'name'],
    [['key', 'generate', 'a', '-o', ''], '-o needs the name of a file'],
    [['key', 'public', 'x', '-o', 'y'], 'it takes no -o'],
    [['completion', 'tcsh'], 'expected one of bash, zsh, fish'],
    [['import', '--directory-sizes', 'thrice', 'x'], 'expected one of once, twice'],
    [['import', '--name', 'n', 'a', 'b'], '--name needs exactly one path, got 2'],
    [['import', '--name', 'n'], '--name needs exactly one path, got 0'],
    [['import', '--name', 'a b', 'x'], 'cannot be the name of a store path'],
    [['import', '--name', '', 'x'], 'cannot be the name of a store path'],
    [['import-archive', '--name', 'n', 'a', 'b'], '--name needs exactly one archive, got 2'],
    [['import-archive', '-'], 'an archive from standard input needs --name'],
    [['import-archive', '-', '-'], 'standard input can be read only once'],
    [['import-archive', '--top-level', 'both', 'x'], 'expected one of strip, keep'],
    [['import-archive', '--max-size', '1X', 'x'], 'expected a number of bytes, or one with K, M, G or T'],
    [['copy'], 'copy needs a file, -, or $NIX_ATTRS_JSON_FILE'],
    [['copy', ''], 'expected a file, - or a socket'],
    [['copy', 'x', '--root', ''], '--root needs a folder'],
    [['copy', 'x', 'y'], 'too many arguments'],
    [['path-info'], 'path-info needs a store path, or --all'],
    [['path-info', '--all', ADDRESS], '--all and store paths cannot be given together'],
    [['path-info', '--all', '-r'], 'it takes no --recursive'],
    [['path-info', `${ADDRESS}/x`], 'expected a store path'],
    [['path-info', DIGEST], 'expected a store path'],
    [['path-info', '--json-format', '2', ADDRESS], '--json-format needs --json'],
    [['path-info', '--json', '--json-format', '3', ADDRESS], 'expected one of list, 1, 2'],
    [['sign', ADDRESS], 'sign needs --key-file FILE'],
    [['sign', '-k', 'x'], 'sign needs a store path, or --all'],
    [['sign', '-k', 'x', 'short'], 'expected a store path'],
    [['import-nar', '-', '-'], 'standard input can be read only once'],
    [['import-nar', ''], 'expected a file, - or a socket'],
    [['import-nar', '--name', 'n', 'a', 'b'], '--name needs exactly one archive, got 2'],
    [['import-nar', '--name', 'a b', 'x'], 'cannot be the name of a store path'],
    [['import-nar', '--format', 'store-path', 'x'], '--format store-path needs --name'],
    [['import-nar', '--format', 'hex', 'x'], 'expected one of json, urlsafe-base64, base64, store-path'],
    [['import-nar', '--concurrency', '0', 'x'], 'expected a number from 1 to 1000'],
    [['import-nar', '--compression', 'lzip', 'x'], 'expected one of auto, br'],
    [['import-nar', '--max-size', '1X', 'x'], '--max-size "1X": expected a number of bytes'],
    [
      ['ls', '--store', 'a', '--blob-service-addr', 'b', ADDRESS],
      '--store and --blob-service-addr cannot be',
    ],
    [
      ['ls', '--store-config', 'a.toml', '--directory-service-addr', 'b', ADDRESS],
      'cannot be given together',
    ],
    [['ls', '--blob-service-addr', 'redb:///x', ADDRESS], 'write embedded:/path/to/folder'],
    [['ls', '--blob-service-addr', 'nothing://x?secret=s3cr3t', ADDRESS], 'nothing'],
    [['ls', '--directory-service-addr', 'grpc+http://user:s3cr3t@x/path', ADDRESS], 'path'],
    [['ls', '--path-info-service-addr', 'nothing://x?secret=s3cr3t', ADDRESS], 'nothing'],
    [['ls', '--store', 's3://key:s3cr3t@bucket?secret=s3cr3t', ADDRESS], 'Unknown type: s3'],
    [['ls', '--store-config', 'missing.toml', ADDRESS], 'missing.toml'],
    [['copy-castore', 'a', 'b'], "missing required argument 'digest'"],
    [['copy-castore', 'a', 'b', 'short'], 'invalid digest'],
    [['copy-castore', 'a', 'b', ADDRESS], 'invalid digest'],
    [['copy-castore', '--store', 'x', 'a', 'b', DIGEST], 'copy-castore takes no --store'],
    [['copy-castore', 'sled://', 'b', DIGEST], 'write embedded:/path/to/folder'],
    [['copy-castore', 'memory:', 'nothing:s3cr3t@x', DIGEST], 'nothing'],
    [['castore-daemon', 'extra'], 'too many arguments'],
    [['castore-daemon', '-l', 'nowhere'], '--listen-address: invalid address'],
    [['castore-daemon', '-l', 'localhost:8000'], 'expected IPv4:port, [IPv6]:port, /path'],
    [['castore-daemon', '-l', '[::1]:99999'], '--listen-address: invalid address'],
    [['castore-daemon', '-l', 'vsock:2:8000'], 'Node.js has no sockets of that kind'],
    [['castore-daemon', '-l', '0.0.0.0:0'], 'can be reached by others: give --tls-client-ca or --token-file'],
    [['castore-daemon', '-l', '[::]:0'], 'can be reached by others'],
    [['castore-daemon', '-l', '192.0.2.1:0', '--tls-cert', 'x'], 'can be reached by others'],
    [['castore-daemon', '--unix-listen-chmod', '0600'], 'expected one of owner, group, everybody'],
    [['castore-daemon', '--unix-listen-uid', 'root'], 'a number, not a name'],
    [['castore-daemon', '--tcp-keepalive', '60000:3:1000'], 'milliseconds, at least 1000'],
    [['castore-daemon', '--tcp-listen-backlog', '0'], 'a number of connections'],
    [['castore-daemon', '--workers', '0'], 'a number of processes'],
    [['castore-daemon', '--workers', '2', '-l', 'stdio'], '--workers is for sockets'],
    [['castore-daemon', '--grace', 'long'], 'a number of seconds'],
    [['castore-daemon', '--ready-fd', '-1'], 'file descriptor'],
    [['castore-daemon', '--tls-key', 'x'], 'TLS needs --tls-cert'],
    [['castore-daemon', '--tls-cert', 'x'], 'TLS needs --tls-key'],
    [['castore-daemon', '--tls-cert', 'x', '--tls-key', 'y'], '--tls-cert x: no such file'],
  ])('%j', async (args, message) => {
    const { code, stdout, stderr } = await neve(args, { cwd: temporaryFolder() })
    expect(stderr).toMatch(ONE_LINE)
    expect(stderr).toContain(message)
    expect([code, stdout.length]).toEqual([2, 0])
    expect(stderr).not.toContain('s3cr3t')
  })

  test.each(['foo', 'blake3-AAAA', '/nix/store', '/nix/store/short', `${ADDRESS}/../x`, '', '/etc/passwd'])(
    'address %j is refused by every command',
    async (address) => {
      const store = newStore()
      await store.run('import', '--name', 'x', NEVE)
      for (const args of [
        ['ls', address],
        ['cat', address],
        ['stat', address],
        ['nar', address],
        ['export', address, '/tmp/none'],
      ]) {
        const { code, stdout, stderr } = await store.run(...args)
        expect(stderr).toMatch(ONE_LINE)
        expect([args[0], code, stdout.length]).toEqual([args[0], 2, 0])
      }
    },
  )

  test('NEVE_DEBUG=1 shows the stack trace', async () => {
    const args = ['ls', '--store', '/nowhere/at/all', ADDRESS]
    expect((await neve(args)).stderr).not.toContain('    at ')
    const { code, stderr } = await neve(args, { env: { NEVE_DEBUG: '1' } })
    expect(code).toBe(1)
    expect(stderr).toContain('    at ')
  })
})

describe('completion', () => {
  test.each(['bash', 'zsh', 'fish'])('%s knows every command and option', async (shell) => {
    const { code, stdout } = await neve(['completion', shell])
    const script = stdout.toString()
    expect(code).toBe(0)
    const options = [
      'store',
      'no-progress',
      'json',
      'name',
      'recursive',
      'output',
      'directory-sizes',
      'chunks',
    ]
    for (const word of [...COMMANDS, ...options]) expect(script).toContain(word)
  })

  test('bash completes commands, options and choices', async () => {
    const script = (await neve(['completion', 'bash'])).stdout.toString()
    const complete = (...words: string[]) =>
      execFileSync('bash', [
        '-c',
        `${script}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _neve; printf '%s\\n' "\${COMPREPLY[@]}"`,
        'bash',
        ...words,
      ])
        .toString()
        .trim()
        .split('\n')
    expect(complete('neve', 'im')).toEqual(['import', 'import-archive', 'import-nar'])
    expect(complete('neve', '--store', 'x', 'im')).toEqual(['import', 'import-archive', 'import-nar'])
    expect(complete('neve', '--blob-service-addr', 'x', '--store-config', 'y', 'copy')).toEqual([
      'copy',
      'copy-castore',
    ])
    expect(complete('neve', 'ls', '--re')).toEqual(['--recursive'])
    expect(complete('neve', 'ls', '--st')).toEqual(['--store', '--store-config'])
    expect(complete('neve', 'import', '--directory-sizes', '')).toEqual(['once', 'twice'])
    expect(complete('neve', 'completion', 'z')).toEqual(['zsh'])
    expect(complete('neve', 'store', 'd')).toEqual(['du', 'diff'])
    expect(complete('neve', 'store', 'info', '--to')).toEqual(['--top'])
  })

  test.each(['zsh', 'fish'])('%s takes its script', async (shell) => {
    const { stdout } = await neve(['completion', shell])
    if (missingProgram(shell, '-c', 'true') === undefined) {
      expect(execFileSync(shell, ['-n', '/dev/stdin'], { input: stdout }).length).toBe(0)
    }
  })
})

test('--store may be an address or a folder, before or after the command', async () => {
  const { path, run } = newStore()
  const [storePath] = (await run('import', '--name', 'x', NEVE)).lines
  for (const args of [
    ['--store', path, 'ls', storePath!],
    ['ls', '--store', `embedded:${path}`, storePath!],
    ['ls', storePath!, `--store=embedded://${path}`],
  ]) {
    expect(await neve(args)).toMatchObject({ code: 0, stderr: '' })
  }
})

test('08#7 the environment names the store, and a flag goes before it', async () => {
  const [a, b] = [newStore(), newStore()]
  const [storePath] = (await a.run('import', '--name', 'x', NEVE)).lines
  await b.run('import', '--name', 'y', NEVE)
  const env = { NEVE_STORE: a.path }
  expect(await neve(['ls', storePath!], { env })).toMatchObject({ code: 0 })
  expect(await neve(['ls', '--store', b.path, storePath!], { env })).toMatchObject({ code: 1 })
  const state = temporaryFolder()
  if (process.getuid?.() !== 0) {
    const { code } = await neve(['import', '--name', 'x', NEVE], { env: { XDG_STATE_HOME: state } })
    expect(code).toBe(0)
    expect(await neve(['ls', '--store', `${state}/neve`, storePath!])).toMatchObject({ code: 0 })
  }
})
