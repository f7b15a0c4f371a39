import type { CompletedCommand, CompletedOption, CompletionModel } from './model.js'

/** A script for zsh, to be put in a folder of \`$fpath\` as \`_neve\`. */
export function zshCompletion({ options, commands }: CompletionModel): string {
  return `#compdef neve
# zsh completion for neve
_neve() {
  local context state state_descr line
  typeset -A opt_args
  _arguments -C \\
${options.map((option) => `    ${specOf(option)} \\`).join('\n')}
    '1:command:->command' \\
    '*::argument:->argument'
  case $state in
    command)
      local -a commands
      commands=(
${commands.map(({ name, summary }) => `        ${quoted(`${name}:${summary}`)}`).join('\n')}
      )
      _describe command commands
      ;;
    argument)
      case $words[1] in
${commands.map((command) => `        ${command.name}) _arguments ${argumentsOf(command, options)} ;;`).join('\n')}
      esac
      ;;
  esac
}
if [ "$funcstack[1]" = _neve ]; then _neve "$@"; else compdef _neve neve; fi
`
}

function argumentsOf({ options, words }: CompletedCommand, global: readonly CompletedOption[]): string {
  const own = [...options, ...global.filter(({ names }) => !names.includes('--help'))]
  const first = words.length > 0 ? [`1:what:(${words.join(' ')})`] : []
  return [...own.map(specOf), ...[...first, '*:file:_files'].map(quoted)].join(' ')
}

function specOf({ names, description, takesValue, choices }: CompletedOption): string {
  const text = description.replace(/[[\]]/g, '')
  const values = choices.length > 0 ? `(${choices.join(' ')})` : '_files'
  const rest = `[${text}]${takesValue ? `:value:${values}` : ''}`
  if (names.length === 1) return quoted(`${names[0]}${rest}`)
  return `${quoted(`(${names.join(' ')})`)}{${names.join(',')}}${quoted(rest)}`
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
