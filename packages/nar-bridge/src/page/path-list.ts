import { encodeNixbase32 } from '@neve/nix-compat'
import type { PathInfo, PathMetadata } from '@neve/store-pathinfo'
import { encodeName } from '../url-names.js'
import { formatBytes } from './figures.js'
import { type Html, html } from './html.js'

/** A table of store paths, each with a link to its page. */
export function pathTable(paths: readonly Pick<PathMetadata, 'storePath' | 'narSize'>[], base: string): Html {
  return html`<table><thead><tr><th>Store path</th><th class="number">NAR size</th></tr></thead><tbody>
${paths.map(
  ({ storePath, narSize }) =>
    html`<tr><td><a class="name" href="${base}nix/store/${encodeName(storePath.toString())}">${storePath.name}</a><span class="hash">${encodeNixbase32(storePath.digest)}</span></td><td class="number">${formatBytes(narSize)}</td></tr>
`,
)}</tbody></table>`
}

/** A store path in a list for programs. */
export function pathJson({ storePath, narSize }: Pick<PathInfo, 'storePath' | 'narSize'>) {
  return { path: storePath.toAbsolute(), narSize }
}
