import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'

/** The programs of the real Nix, confined to a scratch folder: /nix is neither read nor written (spec 09 section 16). */
export class NixOracle {
  readonly folder = mkdtempSync(join(tmpdir(), 'neve-nix-'))
  readonly #environment: NodeJS.ProcessEnv

  constructor() {
    const [home, configuration] = [join(this.folder, 'home'), join(this.folder, 'conf')]
    mkdirSync(home)
    mkdirSync(configuration)
    writeFileSync(
      join(configuration, 'nix.conf'),
      'experimental-features = nix-command\nsubstituters =\nsandbox = false\nbuild-users-group =\n',
    )
    const { PATH } = process.env
    this.#environment = { PATH, HOME: home, NIX_CONF_DIR: configuration }
  }

  /** Runs a program, and gives the lines it prints. */
  run(program: string, ...args: string[]): string[] {
    const output = execFileSync(program, args, {
      env: this.#environment,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    return output.replace(/\n$/, '').split('\n')
  }

  /** The same with a private store, whose paths are those of /nix/store. */
  runWithStore(program: string, ...args: string[]): string[] {
    return this.run(program, '--store', join(this.folder, 'root'), ...args)
  }

  /** The bytes of a file in the private store, by its path in /nix/store. */
  readStoreFile(path: string): Uint8Array {
    return new Uint8Array(readFileSync(join(this.folder, 'root', path)))
  }

  /** Where a test may put a file or folder of that name; each call gives a folder of its own. */
  place(name: string): string {
    return join(mkdtempSync(join(this.folder, 'input-')), name)
  }

  dispose(): void {
    execFileSync('chmod', ['-R', 'u+w', this.folder])
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/**
 * Tests against the real Nix. Without it they are skipped, saying why; with NEVE_TEST_REQUIRE=all they fail instead.
 */
export function describeWithNix(name: string, define: (nix: NixOracle) => void): void {
  const missing = missingProgram()
  const { NEVE_TEST_REQUIRE } = process.env
  if (missing === undefined) {
    describe(name, () => {
      const nix = new NixOracle()
      afterAll(() => nix.dispose())
      define(nix)
    })
  } else if (NEVE_TEST_REQUIRE === 'all') {
    test(`${name}: needs ${missing}`, () => expect.fail(`${missing} cannot be run; install nix-bin`))
  } else {
    test.skip(`${name} (${missing} cannot be run; install nix-bin)`)
  }
}

function missingProgram(): string | undefined {
  return ['nix', 'nix-hash', 'nix-store', 'nix-instantiate'].find((program) => {
    try {
      execFileSync(program, ['--version'], { stdio: 'ignore' })
      return false
    } catch {
      return true
    }
  })
}
