import { digest } from '#digest'
import type { ContentAddress } from './content-address.js'
import { writeAterm } from './derivation-aterm.js'
import { DerivationError } from './derivation-error.js'
import { parseAterm } from './derivation-parser.js'
import { encodeHex } from './hex.js'
import { StorePath } from './store-path.js'
import {
  BuildStorePathError,
  buildStorePath,
  fixedOutputFingerprint,
  outputStorePath,
  textStorePath,
} from './store-path-builder.js'
import { StorePathError } from './store-path-error.js'
import { validateName } from './store-path-name.js'
import { compareUtf8 } from './utf8-order.js'

/** One output. A declared content address, flat or recursive, makes the derivation a fixed-output one. */
export interface DerivationOutput {
  /** Absent as long as it has not been computed. */
  readonly path?: StorePath | undefined
  readonly address?: ContentAddress | undefined
}

/** Another derivation that this one needs, and which of its outputs. */
export interface InputDerivation {
  readonly path: StorePath
  readonly outputs: readonly string[]
}

/** What a derivation is made from. Order does not matter, except that of `args`; repeated inputs are united. */
export interface DerivationInit {
  readonly outputs: Iterable<readonly [name: string, output: DerivationOutput]>
  /** Default: none. */
  readonly inputDerivations?: Iterable<{ readonly path: StorePath; readonly outputs: Iterable<string> }>
  /** Default: none. */
  readonly inputSources?: Iterable<StorePath>
  readonly system: string
  readonly builder: string
  /** Default: none. */
  readonly args?: Iterable<string>
  /** Values may be any bytes; texts are taken as UTF-8. Default: none. */
  readonly environment?: Iterable<readonly [name: string, value: string | Uint8Array]>
}

/** Supplies the hash modulo (32 bytes) of an input derivation. */
export type ModuloLookup = (derivationPath: StorePath) => Uint8Array

/**
 * A derivation, as far as store paths depend on it (spec 09 section 11). Immutable; everything that Nix keeps in sets
 * and maps is sorted as Nix sorts it.
 */
export class Derivation {
  readonly outputs: ReadonlyMap<string, DerivationOutput>
  readonly inputDerivations: readonly InputDerivation[]
  readonly inputSources: readonly StorePath[]
  readonly system: string
  readonly builder: string
  readonly args: readonly string[]
  /** The values belong to this object: do not write to them. */
  readonly environment: ReadonlyMap<string, Uint8Array>

  /** @throws DerivationError when Nix would not take it */
  constructor(init: DerivationInit) {
    this.outputs = sortedMap(
      [...init.outputs].map(([name, { path, address }]) => [name, { path, address }] as const),
    )
    this.inputDerivations = united(init.inputDerivations ?? [])
    this.inputSources = [...uniquePaths(init.inputSources ?? []).values()].sort(StorePath.compare)
    this.system = init.system
    this.builder = init.builder
    this.args = [...(init.args ?? [])]
    this.environment = sortedMap(
      [...(init.environment ?? [])].map(([name, value]) => [name, bytesOf(value)] as const),
    )
    validate(this)
  }

  /**
   * Reads a derivation in the exact form in which Nix writes `.drv` files. Whatever is accepted is written again byte
   * for byte by `toAterm`.
   *
   * @throws DerivationError
   */
  static parse(text: Uint8Array): Derivation {
    return new Derivation(parseAterm(text))
  }

  /** The contents of the `.drv` file: an ATerm, without a final newline. */
  toAterm(): Uint8Array {
    return writeAterm(
      this,
      this.inputDerivations.map(({ path, outputs }) => [path.toAbsolute(), outputs] as const),
    )
  }

  /** The content address of the output, if this is a fixed-output derivation. */
  get fixedOutput(): ContentAddress | undefined {
    return this.outputs.get('out')?.address
  }

  /**
   * The path of the `.drv` file.
   *
   * @param name the derivation's name, without `.drv`
   * @throws BuildStorePathError `invalid-store-path`
   */
  storePath(name: string): StorePath {
    const references = [...this.inputDerivations.map(({ path }) => path), ...this.inputSources]
    return textStorePath(`${name}.drv`, this.toAterm(), references)
  }

  /**
   * The hash-derivation-modulo, 32 bytes: equal for derivations that differ only in how their fixed-output inputs are
   * fetched (spec 09 section 11). To compute output paths, take it of `withoutOutputPaths()`.
   *
   * @param lookup asked once for every input derivation, and never for a fixed-output derivation; what it throws
   *   passes through
   */
  hashModulo(lookup: ModuloLookup): Uint8Array {
    const out = this.outputs.get('out')
    if (out?.address !== undefined) {
      const fingerprint = `${fixedOutputFingerprint(out.address)}:${out.path?.toAbsolute() ?? ''}`
      return digest('sha256', new TextEncoder().encode(fingerprint))
    }
    const inputs = new Map<string, Set<string>>()
    for (const { path, outputs } of this.inputDerivations) {
      const key = encodeHex(lookup(path))
      // Inputs that differ only in how they are fetched have one hash between them.
      inputs.set(key, new Set([...(inputs.get(key) ?? []), ...outputs]))
    }
    const masked = [...inputs].map(([key, outputs]) => [key, [...outputs].sort(compareUtf8)] as const)
    return digest(
      'sha256',
      writeAterm(
        this,
        masked.sort(([a], [b]) => compareUtf8(a, b)),
      ),
    )
  }

  /** The same derivation with the output paths blank, also in the variables named after the outputs. */
  withoutOutputPaths(): Derivation {
    return this.#withPaths(() => undefined)
  }

  /**
   * The same derivation with all output paths computed, also in the variables named after the outputs.
   *
   * @param name the derivation's name, without `.drv`
   * @param modulo `hashModulo` of this derivation without output paths; not looked at for a fixed-output derivation
   * @throws DerivationError `output-path`, naming the output
   */
  withOutputPaths(name: string, modulo: Uint8Array): Derivation {
    return this.#withPaths((output, { address }) => {
      try {
        return address === undefined ? outputStorePath(name, output, modulo) : buildStorePath(name, address)
      } catch (cause) {
        if (!(cause instanceof BuildStorePathError)) throw cause
        throw new DerivationError('output-path', 'a name that makes a store path', JSON.stringify(name), {
          output,
          cause,
        })
      }
    })
  }

  #withPaths(pathOf: (name: string, output: DerivationOutput) => StorePath | undefined): Derivation {
    const outputs = [...this.outputs].map(
      ([name, output]) => [name, { ...output, path: pathOf(name, output) }] as const,
    )
    const environment = new Map<string, string | Uint8Array>(this.environment)
    for (const [name, { path }] of outputs) environment.set(name, path?.toAbsolute() ?? '')
    return new Derivation({ ...this, outputs, environment })
  }
}

function sortedMap<Value>(entries: Iterable<readonly [string, Value]>): ReadonlyMap<string, Value> {
  return new Map([...new Map(entries)].sort(([a], [b]) => compareUtf8(a, b)))
}

function uniquePaths(paths: Iterable<StorePath>): Map<string, StorePath> {
  return new Map([...paths].map((path) => [path.toString(), path]))
}

function united(
  inputs: Iterable<{ readonly path: StorePath; readonly outputs: Iterable<string> }>,
): InputDerivation[] {
  const byPath = new Map<string, { path: StorePath; outputs: Set<string> }>()
  for (const { path, outputs } of inputs) {
    const known = byPath.get(path.toString())
    byPath.set(path.toString(), { path, outputs: new Set([...(known?.outputs ?? []), ...outputs]) })
  }
  return [...byPath.values()]
    .map(({ path, outputs }) => ({ path, outputs: [...outputs].sort(compareUtf8) }))
    .sort((left, right) => StorePath.compare(left.path, right.path))
}

function bytesOf(value: string | Uint8Array): Uint8Array {
  return typeof value === 'string' ? new TextEncoder().encode(value) : new Uint8Array(value)
}

function validate({ outputs, inputDerivations, environment }: Derivation): void {
  if (outputs.size === 0) throw new DerivationError('no-outputs', 'at least one output', 'none')
  for (const [name, { address }] of outputs) {
    validateOutputName(name)
    if (address === undefined) continue
    if (address.method === 'text') {
      throw new DerivationError('invalid-output', 'a flat or recursive hash', address.toString(), {
        output: name,
      })
    }
    if (outputs.size > 1 || name !== 'out') {
      throw new DerivationError(
        'invalid-fixed-output',
        'a single output "out" where a hash is declared',
        [...outputs.keys()].join(', '),
        { output: name },
      )
    }
  }
  for (const { path, outputs: wanted } of inputDerivations) {
    if (!path.name.endsWith('.drv')) {
      throw new DerivationError(
        'invalid-input',
        'an input derivation whose name ends in .drv',
        path.toString(),
      )
    }
    if (wanted.length === 0) {
      throw new DerivationError('invalid-input', `a wanted output of ${path.toString()}`, 'none')
    }
    wanted.forEach(validateOutputName)
  }
  if (environment.has('')) throw new DerivationError('invalid-environment', 'a name', 'an empty one')
}

function validateOutputName(output: string): void {
  try {
    validateName(output)
  } catch (cause) {
    if (!(cause instanceof StorePathError)) throw cause
    throw new DerivationError('invalid-output', 'a name that store paths may have', JSON.stringify(output), {
      output,
      cause,
    })
  }
  // It would be taken for the derivation itself.
  if (output === 'drv') {
    throw new DerivationError('invalid-output', 'a name other than drv', '"drv"', { output })
  }
}
