import type { CompletedOption, CompletionModel } from './model.js'

/** A script for fish. */
export function fishCompletion({ options, commands }: CompletionModel): string {
  const names = commands.map(({ name }) => name).join(' ')
  const none = `not __fish_seen_subcommand_from ${names}`
  const lines = [
    '# fish completion for neve',
    `complete -c neve -n ${quoted(none)} -f`,
    ...options.map((option) => optionLine(undefined, option)),
    ...commands.map(
      ({ name, summary }) => `complete -c neve -n ${quoted(none)} -a ${name} -d ${quoted(summary)}`,
    ),
  ]
  for (const { name, options: own, words } of commands) {
    const here = `__fish_seen_subcommand_from ${name}`
    for (const option of own) if (!option.names.includes('--help')) lines.push(optionLine(here, option))
    if (words.length > 0) lines.push(`complete -c neve -n ${quoted(here)} -a ${quoted(words.join(' '))}`)
  }
  return `${lines.join('\n')}\n`
}

function optionLine(condition: string | undefined, option: CompletedOption): string {
  const { names, description, takesValue, choices } = option
  const parts = ['complete -c neve']
  if (condition !== undefined) parts.push(`-n ${quoted(condition)}`)
  for (const name of names) parts.push(name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`)
  if (takesValue) parts.push(choices.length > 0 ? `-x -a ${quoted(choices.join(' '))}` : '-r')
  return [...parts, `-d ${quoted(description)}`].join(' ')
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
