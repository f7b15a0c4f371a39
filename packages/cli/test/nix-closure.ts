import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder } from './support.js'

/** Real Nix over a private root (spec 09 section 16), with a closure in it. */
export interface NixClosure {
  /** The folder that `nix/store` is in. */
  readonly root: string
  /** What has the others in its closure, mentions itself, and has a deriver. */
  readonly top: string
  /** A text with references, signed by `k-1`. */
  readonly text: string
  /** The file with the secret key `k-1`, and the public key. */
  readonly keyFile: string
  readonly publicKey: string
  /** Runs a program over the root; gives what it prints. */
  readonly nix: (program: string, ...args: string[]) => Buffer
  /** The same with an input, or another store. */
  readonly run: (program: string, args: readonly string[], input?: string) => Buffer
}

export function makeNixClosure(): NixClosure {
  const home = temporaryFolder()
  const root = join(home, 'root')
  writeFileSync(
    join(home, 'nix.conf'),
    'experimental-features = nix-command\nsubstituters =\nsandbox = false\nbuild-users-group =\n',
  )
  const { PATH } = process.env
  const run = (program: string, args: readonly string[], input = ''): Buffer => {
    const env = { PATH, HOME: home, NIX_CONF_DIR: home }
    const { status, stdout, stderr } = spawnSync(program, args, { env, input, cwd: home, maxBuffer: 2 ** 28 })
    if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`)
    return stdout
  }
  const nix = (program: string, ...args: string[]) =>
    program === 'nix'
      ? run('nix', [
          args[0]!,
          ...(args[0] === 'store' ? [args[1]!] : []),
          '--store',
          root,
          ...args.slice(args[0] === 'store' ? 2 : 1),
        ])
      : run(program, ['--store', root, ...args])
  mkdirSync(join(home, 'src/sub'), { recursive: true })
  writeFileSync(join(home, 'src/file'), 'a file')
  writeFileSync(join(home, 'src/sub/large'), Buffer.alloc(300_000, 'neve'))
  const expression = `
    let tree = builtins.path { path = ./src; name = "tree"; }; leaf = builtins.toFile "leaf" "x";
    in builtins.toFile "text" (builtins.concatStringsSep " " [ tree leaf ])`
  const text = nix('nix-instantiate', '--read-write-mode', '--eval', '-E', expression)
    .toString()
    .trim()
    .slice(1, -1)
  const top = '/nix/store/00000000000000000000000000000000-top'
  mkdirSync(join(root, top))
  writeFileSync(join(root, top, 'mentions'), `${top} ${text}`)
  const nar = run('nix-store', ['--dump', join(root, top)])
  const hash = run('nix-hash', ['--type', 'sha256', join(root, top)])
    .toString()
    .trim()
  const deriver = '/nix/store/r54419sfrxcfd719i7ckvv4ykfi9bd1b-top.drv'
  const registration = [top, hash, nar.length, deriver, 2, top, text]
  run('nix-store', ['--store', root, '--load-db'], `${registration.join('\n')}\n`)
  const keyFile = join(home, 'k-1')
  writeFileSync(keyFile, run('nix', ['key', 'generate-secret', '--key-name', 'k-1']))
  const publicKey = run(
    'nix',
    ['key', 'convert-secret-to-public'],
    run('cat', [keyFile]).toString(),
  ).toString()
  nix('nix', 'store', 'sign', '-k', keyFile, text)
  return { root, top, text, keyFile, publicKey: publicKey.trim(), nix, run }
}
