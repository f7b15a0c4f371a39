import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

const PACKAGE = new URL('../', import.meta.url)

/**
 * Looks whether the bundles that the command runs are made of what lies in `dist` of the packages and in `src` here.
 *
 * @throws Error when a package was built after them: its tests would be of what it was before
 */
export function checkBundles(): void {
  const inputs: Record<string, string> = JSON.parse(
    readFileSync(new URL('dist/bundle/inputs.json', PACKAGE), 'utf8'),
  )
  for (const [path, hash] of Object.entries(inputs)) {
    const now = createHash('sha256')
      .update(readFileSync(new URL(path, PACKAGE)))
      .digest('hex')
    if (now !== hash) {
      throw new Error(`the command is bundled from another ${path}: run npx tsup --no-dts in packages/cli`)
    }
  }
}
