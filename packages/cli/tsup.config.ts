import { defineConfig } from 'tsup'
import { base } from '../../tsup.base.js'
import manifest from './package.json' with { type: 'json' }

export default defineConfig({
  ...base,
  dts: { entry: { index: 'src/index.ts' } },
  entry: {
    index: 'src/index.ts',
    neve: 'src/neve.ts',
    'daemon-worker': 'src/daemon/worker.ts',
    'scan-worker': 'src/progress/scan-worker.ts',
  },
  define: { NEVE_VERSION: JSON.stringify(manifest.version) },
})
