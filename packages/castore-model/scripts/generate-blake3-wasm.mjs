// Embeds the WebAssembly binary of blake3-wasm as text, so that it loads synchronously, without a file or a request.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const binary = readFileSync(require.resolve('blake3-wasm/dist/wasm/web/blake3_js_bg.wasm'))
const folder = new URL('../src/generated/', import.meta.url)
mkdirSync(folder, { recursive: true })
writeFileSync(
  new URL('blake3-wasm-binary.ts', folder),
  `/** The WebAssembly binary of blake3-wasm (MIT). Written by the build. */
export const BLAKE3_WASM_BASE64 =
  '${binary.toString('base64')}'
`,
)
