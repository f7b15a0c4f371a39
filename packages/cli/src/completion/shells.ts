import { bashCompletion } from './bash.js'
import { fishCompletion } from './fish.js'
import type { CompletionModel } from './model.js'
import { zshCompletion } from './zsh.js'

export const SHELLS = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
} satisfies Record<string, (model: CompletionModel) => string>

/** A shell that has a completion script. */
export type Shell = keyof typeof SHELLS
