import { defineConfig } from 'tsup'
import { base } from '../../tsup.base.js'
import manifest from './package.json' with { type: 'json' }
import { bundleLoader, bundles } from './scripts/bundles.js'

const define = { NEVE_VERSION: JSON.stringify(manifest.version) }

export default defineConfig([
  {
    ...base,
    dts: { entry: { index: 'src/index.ts' } },
    entry: {
      index: 'src/index.ts',
      'daemon-worker': 'src/daemon/worker.ts',
      'gc-process': 'src/daemon/gc-process.ts',
      'mount-thread': 'src/mount/thread.ts',
      'scan-worker': 'src/progress/scan-worker.ts',
    },
    define,
  },
  // One file: each costs time when the command starts.
  { ...base, dts: false, splitting: false, entry: { neve: 'src/neve.ts' }, define },
  { ...bundles, define },
  bundleLoader,
])
