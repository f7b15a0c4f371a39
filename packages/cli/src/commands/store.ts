import { Command } from 'commander'
import type { Context } from '../context.js'
import { storeDiffCommand } from './store-diff.js'
import { storeDuCommand } from './store-du.js'
import { storeInfoCommand } from './store-info.js'
import { storeMigrateCommand } from './store-migrate.js'
import { storeSnapshotCommand } from './store-snapshot.js'
import { storeWhyCommand } from './store-why.js'

const EXAMPLES = `
Examples:
  $ neve store info
  $ neve store du /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result
  $ neve store why /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result
  $ neve store diff /nix/store/6v9…-result /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result
  $ neve store migrate /var/lib/neve objectstore+s3://bucket/prefix
  $ neve store snapshot /backup/neve

"neve store info --help" and so on have more. docs/operations.md says what they are for.
`

/** `neve store …`: what a store holds, and what is done with it as a whole. */
export function storeCommand(context: Context): Command {
  const command = new Command('store')
    .description('Tell what a store holds, how much and why, and copy it as a whole.')
    .helpCommand(false)
    .addHelpText('after', EXAMPLES)
  const parts = [
    storeInfoCommand,
    storeDuCommand,
    storeWhyCommand,
    storeDiffCommand,
    storeMigrateCommand,
    storeSnapshotCommand,
  ]
  for (const make of parts) {
    const part = make(context)
    command.addCommand(part.summary(part.description().replace(/\.$/, '').toLowerCase()))
  }
  return command
}
