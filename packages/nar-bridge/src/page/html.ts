/** Text that is HTML already. Only {@link html} makes it. */
export class Html {
  constructor(readonly text: string) {}

  toString(): string {
    return this.text
  }
}

/** What may stand in a template: nothing is written for undefined and false. */
export type HtmlValue = Html | string | number | bigint | undefined | false | readonly HtmlValue[]

/**
 * HTML of a template. Values are escaped, so that they are text between tags and within quoted attributes, whatever
 * they hold; what is HTML already stays as it is.
 */
export function html(strings: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  let text = strings[0]!
  for (const [i, value] of values.entries()) text += written(value) + strings[i + 1]!
  return new Html(text)
}

/** A template of our own text, none of which is escaped. */
export function raw(strings: TemplateStringsArray, ...values: readonly string[]): Html {
  return new Html(String.raw({ raw: strings }, ...values))
}

function written(value: HtmlValue): string {
  if (value === undefined || value === false) return ''
  if (value instanceof Html) return value.text
  if (typeof value === 'object') return value.map(written).join('')
  return escapeHtml(String(value))
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character]!)
}
