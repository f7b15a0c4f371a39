import { type Html, html } from './html.js'

const CRYSTAL =
  'M12 2v20M3.3 7l17.4 10M20.7 7 3.3 17M9 3.8l3 3 3-3M9 20.2l3-3 3 3M3.2 10.9l4.1-1.1-1.1-4M20.8 13.1l-4.1 1.1 1.1 4M3.2 13.1l4.1 1.1-1.1 4M20.8 10.9l-4.1-1.1 1.1-4'

/** The mark of the house: a crystal of snow. */
export const MARK: Html = html`<svg class="mark" viewBox="0 0 24 24" aria-hidden="true"><path d="${CRYSTAL}"/></svg>`

/** The same as an image for the window, in base64. */
export const FAVICON: string = Buffer.from(
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#2f8be0" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"><path d="${CRYSTAL}"/></svg>`,
).toString('base64')

/** Drawn once, used by every row. */
export const ICONS: Html = html`<svg class="symbols" aria-hidden="true">
<symbol id="i-directory" viewBox="0 0 16 16"><path d="M1.5 3.5h4.6l1.6 2h6.8v8h-13z"/></symbol>
<symbol id="i-file" viewBox="0 0 16 16"><path d="M3.5 1.5h6l3 3v10h-9zM9.5 1.5v3h3"/></symbol>
<symbol id="i-executable" viewBox="0 0 16 16"><path d="M1.5 2.5h13v11h-13zM4 6l2.5 2L4 10M8 10.5h4"/></symbol>
<symbol id="i-symlink" viewBox="0 0 16 16"><path d="M9.5 2.5h4v4M13.5 2.5 7 9M11.5 9v4.5h-9v-9H7"/></symbol>
</svg>`

/** What stands before a name. */
export function icon(kind: 'directory' | 'file' | 'executable' | 'symlink'): Html {
  return html`<svg class="icon ${kind}" role="img" aria-label="${kind}"><use href="#i-${kind}"/></svg>`
}
