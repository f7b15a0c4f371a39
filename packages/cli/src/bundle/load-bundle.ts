import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Script } from 'node:vm'
import { readCodeCache, writeCodeCacheAtExit } from './code-cache.js'

/** What the modules in a bundle have instead of `import.meta`, which is about the module that they were. */
interface BundleHost {
  /** The URL of a module of a package, which is named with those on the way to it from this one. */
  url(chain: readonly string[]): string
  /** The URL of a module, as it is imported in a package; if it is one of a thread, of the bundle that it is in here. */
  resolve(chain: readonly string[], specifier: string): string
  /** A package that is not in the bundle, as `import` gives it: only where its manifest can be asked for. */
  import(chain: readonly string[], name: string): Promise<unknown>
  /** What else is not in the bundle. */
  require(chain: readonly string[], specifier: string): unknown
}

interface BundleModule {
  exports: unknown
}

/** What the text of a bundle is: see `scripts/bundles.ts`. */
type BundleFunction = (exports: unknown, require: NodeRequire, module: BundleModule, host: BundleHost) => void

/**
 * Runs a bundle that lies beside this file, without compiling anew what it was seen to need when it was built.
 *
 * @param name of the bundle
 * @param uses what it will be used for: the first for which there is a code cache says which one is taken
 * @returns what it exports
 */
export function loadBundle(name: string, uses: readonly string[] = []): unknown {
  const filename = join(__dirname, `${name}.cjs`)
  // All of it is ASCII, and this the quickest way to read that.
  const source = readFileSync(filename, 'latin1')
  const caches = [...uses.map((use) => `${name}.${use}`), name].map((each) =>
    join(__dirname, `${each}.cache`),
  )
  const script = new Script(source, { filename, cachedData: readCodeCache(caches, source, filename) })
  writeCodeCacheAtExit(script, caches[0]!, source)
  const run = script.runInThisContext() as BundleFunction
  const module: BundleModule = { exports: {} }
  run(module.exports, require, module, HOST)
  return module.exports
}

const modules = new Map<string, string>()

/** The path of the module that stands for a package. */
function packagePath(chain: readonly string[]): string {
  const key = chain.join()
  let path = modules.get(key)
  if (path === undefined) {
    const from = chain.length === 0 ? undefined : packagePath(chain.slice(0, -1))
    path = from === undefined ? join(__dirname, '../index.js') : createRequire(from).resolve(chain.at(-1)!)
    modules.set(key, path)
  }
  return path
}

const HOST: BundleHost = {
  url: (chain) => pathToFileURL(packagePath(chain)).href,
  resolve(chain, specifier) {
    const thread = THREADS[specifier]
    if (thread !== undefined) return pathToFileURL(join(__dirname, `${thread}.start.cjs`)).href
    return pathToFileURL(createRequire(packagePath(chain)).resolve(specifier)).href
  },
  import(chain, name) {
    const manifest = createRequire(packagePath(chain)).resolve(`${name}/package.json`)
    const { exports } = JSON.parse(readFileSync(manifest, 'utf8')) as {
      readonly exports: { readonly '.': { readonly import: { readonly default: string } } }
    }
    return import(pathToFileURL(join(dirname(manifest), exports['.'].import.default)).href)
  },
  require: (chain, specifier) => createRequire(packagePath(chain))(specifier),
}

/** The bundles of threads by what their modules are called where the threads are started. Put in by the build. */
declare const BUNDLED_THREADS: Readonly<Record<string, string>>
const THREADS = BUNDLED_THREADS
