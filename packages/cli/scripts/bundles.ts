import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Options } from 'tsup'

type EsbuildPlugin = NonNullable<Options['esbuildPlugins']>[number]

/** The modules of the threads that the command starts, by the names that they are started with. */
const THREADS: Readonly<Record<string, string>> = {
  '@neve/castore-services/blob/content-worker': 'content-worker',
  '@neve/castore-services/blob/frame-worker': 'frame-worker',
  '@neve/castore-services/blob/record-check-worker': 'record-check-worker',
  '@neve/castore-services/ingest/filesystem-worker': 'filesystem-worker',
  '@neve/castore-services/object-store/file-worker': 'file-worker',
  '@neve/fs-fuse/chunk-thread': 'chunk-thread',
  '@neve/fs-fuse/page-feeder-thread': 'page-feeder-thread',
  '@neve/store-pathinfo/nar-hash-thread': 'nar-hash-thread',
  '@neve/store-pathinfo/sha256-thread': 'sha256-thread',
  './mount-thread.js': 'mount-thread',
}

/** How a package is reached that is no dependency of this one. */
const VIA: Readonly<Record<string, readonly string[]>> = {
  '@neve/cli': [],
  '@neve/fastcdc': ['@neve/castore-services'],
  '@neve/embedded-store': ['@neve/store-pathinfo'],
  lmdb: ['@neve/store-pathinfo', '@neve/embedded-store'],
}

/** What of others is in the bundle: what small commands load. The rest has native parts, or is seldom needed and large. */
const INSIDE =
  /^(commander|lmdb|msgpackr|ordered-binary|weak-lru-cache|@harperfast\/extended-iterable|@noble\/[a-z0-9]+|node-gyp-build-optional-packages|detect-libc)(\/|$)/

/** What has more in its ES module than in what `require` gives: it is imported, wherever it is. */
const AS_MODULE = /import\((['"]opendal['"])\)/g

/** What others load for nothing: an addon for a codec that we do not use, what starts programs for subcommands. */
const UNUSED = /^(msgpackr-extract|node:child_process)$/

/** What loads a module of Node.js that it hardly ever needs: it takes longer to load than all else in a thread. */
const SELDOM = { user: 'detect-libc', module: /^(node:)?child_process$/ }

const SOURCE_OF_OURS = /\/packages\/([^/]+)\/(dist|src)\//
const NAME_OF_THEIRS = /^.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//

const require = createRequire(import.meta.url)

/** The packages on the way to the one that a file belongs to, and that one. */
function chainTo(file: string): readonly string[] {
  const ours = SOURCE_OF_OURS.exec(file)?.[1]
  const name = ours === undefined ? NAME_OF_THEIRS.exec(file)?.[1] : `@neve/${ours}`
  if (name === undefined) throw new Error(`${file} is in no package`)
  return name === '@neve/cli' ? [] : [...(VIA[name] ?? []), name]
}

/** Modules keep their own `import.meta`, and what stays outside is loaded as they would load it. */
const ownPlaces: EsbuildPlugin = {
  name: 'own-places',
  setup(build) {
    build.onResolve({ filter: UNUSED }, ({ path, importer }) =>
      path !== 'msgpackr-extract' && NAME_OF_THEIRS.exec(importer)?.[1] !== 'commander'
        ? undefined
        : { path, namespace: 'nothing' },
    )
    build.onResolve({ filter: SELDOM.module }, ({ importer, namespace }) =>
      namespace === 'file' && NAME_OF_THEIRS.exec(importer)?.[1] === SELDOM.user
        ? { path: 'child_process', namespace: 'seldom' }
        : undefined,
    )
    build.onResolve({ filter: /^[^./#]/ }, ({ path, importer, kind, namespace }) => {
      if (kind === 'entry-point' || namespace === 'outside' || path.startsWith('node:')) return undefined
      if (path.startsWith('@neve/') || INSIDE.test(path)) return undefined
      if (require('node:module').builtinModules.includes(path)) return undefined
      return { path: JSON.stringify([chainTo(importer), path]), namespace: 'outside' }
    })
    build.onLoad({ filter: /.*/, namespace: 'nothing' }, () => ({ contents: '' }))
    build.onLoad({ filter: /.*/, namespace: 'seldom' }, ({ path }) => ({
      contents: `module.exports = new Proxy({}, { get: (_, name) => require(${JSON.stringify(path)})[name] })`,
    }))
    build.onLoad({ filter: /.*/, namespace: 'outside' }, ({ path }) => {
      return { contents: `module.exports = bundleHost.require(...${path})` }
    })
    build.onLoad({ filter: /\.[jt]s$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8')
      if (!text.includes('import.meta.') && text.search(AS_MODULE) < 0) return undefined
      const chain = JSON.stringify(chainTo(path))
      const contents = text
        .replaceAll('import.meta.resolve(', `bundleHost.resolve(${chain}, `)
        .replaceAll('import.meta.url', `bundleHost.url(${chain})`)
        .replaceAll(AS_MODULE, `bundleHost.import(${chain}, $1)`)
      return { contents, loader: path.endsWith('.ts') ? 'ts' : 'js' }
    })
  },
}

const OUT = 'dist/bundle'

/** What the bundles are made of, for tests: they have to be of what the packages are. */
const writeInputs: EsbuildPlugin = {
  name: 'inputs',
  setup(build) {
    build.onEnd(({ metafile }) => {
      const ours = Object.keys(metafile?.inputs ?? {}).filter((path) =>
        /^(\.\.\/[a-z-]+\/dist|src)\//.test(path),
      )
      const hashes = ours.map((path) => [path, createHash('sha256').update(readFileSync(path)).digest('hex')])
      writeFileSync(join(OUT, 'inputs.json'), JSON.stringify(Object.fromEntries(hashes)))
    })
  },
}

/**
 * The command and each of its threads in one file, as the function that `src/bundle/load-bundle.ts` calls. It begins
 * with a hash of the rest, by which a code cache is told to be of it.
 */
export const bundles: Options = {
  entry: {
    main: 'src/main.ts',
    ...Object.fromEntries(
      Object.entries(THREADS).map(([module, name]) => [
        name,
        module.startsWith('.') ? 'src/mount/thread.ts' : require.resolve(module),
      ]),
    ),
  },
  outDir: OUT,
  format: ['cjs'],
  target: 'node20',
  splitting: false,
  treeshake: false,
  sourcemap: false,
  dts: false,
  noExternal: [/.*/],
  // What takes it away comes before the plugins, and they would not see these imports.
  removeNodeProtocol: false,
  outExtension: () => ({ js: '.cjs' }),
  esbuildPlugins: [ownPlaces, writeInputs],
  esbuildOptions(options) {
    options.charset = 'ascii'
    options.legalComments = 'none'
    options.minifyWhitespace = true
    options.minifySyntax = true
    options.logOverride = { 'ignored-bare-import': 'silent' }
  },
  plugins: [
    {
      name: 'bundle-function',
      renderChunk(code) {
        // As the bundler does it, but for templates with a tag: of ours, none looks at its raw text.
        const ascii = code.replaceAll(
          /[^\0-\x7f]/g,
          (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
        )
        const text = `(function(exports,require,module,bundleHost){${ascii}\n})`
        return { code: `/*${createHash('sha256').update(text).digest('hex')}*/${text}` }
      },
      buildEnd() {
        for (const name of Object.values(THREADS)) {
          writeFileSync(
            join(OUT, `${name}.start.cjs`),
            `require('./load-bundle.cjs').loadBundle('${name}')\n`,
          )
        }
      },
    },
  ],
}

/** What runs bundles. */
export const bundleLoader: Options = {
  entry: { 'load-bundle': 'src/bundle/load-bundle.ts' },
  outDir: OUT,
  format: ['cjs'],
  target: 'node20',
  dts: false,
  outExtension: () => ({ js: '.cjs' }),
  define: { BUNDLED_THREADS: JSON.stringify(THREADS) },
}
