import type { CompletedOption, CompletionModel } from './model.js'

/** A script for bash, with nothing but what bash has by itself. */
export function bashCompletion({ options, commands }: CompletionModel): string {
  const all = [...options, ...commands.flatMap((command) => command.options)]
  const valued = all.filter((option) => option.takesValue && option.choices.length === 0)
  const chosen = all.filter((option) => option.choices.length > 0)
  return `# bash completion for neve
_neve() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} command= i words
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in
      ${options
        .filter(({ takesValue }) => takesValue)
        .flatMap(({ names }) => names)
        .join('|')}) ((i++)) ;;
      -*) ;;
      *) command=\${COMP_WORDS[i]}; break ;;
    esac
  done
  case $prev in
${chosen.map(({ names, choices }) => `    ${names.join('|')}) COMPREPLY=($(compgen -W '${choices.join(' ')}' -- "$cur")); return ;;`).join('\n')}
    ${unique(valued.flatMap(({ names }) => names)).join('|')}) COMPREPLY=($(compgen -f -- "$cur")); return ;;
  esac
  case $command in
    '') words='${wordsOf(
      options,
      commands.map(({ name }) => name),
    )}' ;;
${commands.map(({ name, options: own, words }) => `    ${name}) words='${wordsOf([...own, ...options], words)}' ;;`).join('\n')}
    *) return ;;
  esac
  case "$command:$((COMP_CWORD - i))" in
    ${commands
      .filter(({ words }) => words.length > 0)
      .map(({ name }) => `${name}:1`)
      .join('|')}) COMPREPLY=($(compgen -W "$words" -- "$cur")); return ;;
  esac
  if [[ $cur == -* || -z $command ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
  else
    COMPREPLY=($(compgen -f -- "$cur"))
  fi
}
complete -o filenames -F _neve neve
`
}

function wordsOf(options: readonly CompletedOption[], words: readonly string[]): string {
  return unique([...words, ...options.flatMap(({ names }) => names)]).join(' ')
}

function unique(words: readonly string[]): string[] {
  return [...new Set(words)]
}
