import { defineConfig } from 'tsup'
import { base } from '../../tsup.base.js'

export default defineConfig({
  ...base,
  entry: {
    index: 'src/index.ts',
    embedded: 'src/embedded.ts',
    'embedded-thread': 'src/embedded-thread.ts',
    'serve-embedded': 'src/serve-embedded.ts',
    'chunk-thread': 'src/chunk-thread.ts',
    'page-feeder-thread': 'src/page-feeder-thread.ts',
  },
})
