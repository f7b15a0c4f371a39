import { Command } from 'commander'
import { COMMANDS } from './command-list.js'
import type { Context } from './context.js'
import { oneLine } from './messages.js'
import { addLogOptions, LOG_FLAGS, type LogOptions } from './observe/log-options.js'
import { addStoreOptions, STORE_FLAGS } from './store-options.js'
import { version } from './version.js'

const EXAMPLES = `
A store is named by a folder (embedded:/path), a daemon (grpc+unix:/path, grpc+http://host:port, grpc+https://…), a
bucket (objectstore+s3://bucket/prefix and its like), a binary cache (nix+https://…, to read from), memory:, or a
composition file (*.toml).
An ADDRESS in a store is a store path or a digest (blake3-…), each with or without /sub/path behind it.

Examples:
  $ neve import ./result
  /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result
  $ neve ls -l /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result/bin
  $ neve nar /nix/store/y1yb065zx5yqqpvcvzggdyif4xvf5hd1-result -o result.nar

Environment:
  NEVE_STORE              the address of the store, where --store is not given. Without both it is /var/lib/neve for
                          root, else $XDG_STATE_HOME/neve (~/.local/state/neve). It has what nothing else names
  NEVE_STORE_CONFIG       a composition file, where neither --store-config nor an address is given
  BLOB_SERVICE_ADDR, DIRECTORY_SERVICE_ADDR, PATH_INFO_SERVICE_ADDR
                          addresses, where no flag is given; with NEVE_ before them they go before those without
  NEVE_JSONL, NEVE_NIX_ATTRS_JSON_FILE
                          of neve copy: whether it reads lines, and what it reads where nothing is named. These, and
                          EXPERIMENTAL_STORE_COMPOSITION for NEVE_STORE_CONFIG, are taken without NEVE_ too
  NEVE_DIRECTORY_SIZES    once or twice, where --directory-sizes is not given
  NEVE_LOG, NEVE_LOG_FORMAT
                          where --log-level, --log-format are not given
  NEVE_TOKEN              sent to gRPC servers whose address names no token-file
  NEVE_LISTEN_ADDRESS     where daemons listen without --listen-address
  NEVE_HTTP_LISTEN_ADDRESS
                          where the binary cache is served without --http, or --listen-address of nar-bridge
  NEVE_DEBUG              1 shows stack traces
  OTEL_*                  where to tell traces and metrics, by OpenTelemetry's own names: docs/observability.md

Exit status: 0; 1 when something failed; 2 for a mistake in the command line; 130 when interrupted.
`

/** The program with its options, and of the commands only the one that is asked for. */
export async function buildProgram(context: Context, argv: readonly string[]): Promise<Command> {
  const program = emptyProgram()
    .description('A content-addressed store for the Nix world.')
    .usage('[options] COMMAND ...')
    .helpCommand(false)
    .addHelpText('after', EXAMPLES)
    .hook('preAction', (_, action) => context.setLogging(action.optsWithGlobals<LogOptions>()))
  adjust(program, context)
  const wanted = commandName(argv)
  for (const { name, summary, load } of COMMANDS) {
    const command =
      name === wanted
        ? (await load())(context)
        : new Command(name).allowUnknownOption().allowExcessArguments()
    program.addCommand(adjust(command.summary(summary), context))
  }
  return program
}

/** The program with all commands whole, for what has to know every option. */
export async function buildWholeProgram(context: Context): Promise<Command> {
  const program = emptyProgram()
  for (const { summary, load } of COMMANDS) program.addCommand((await load())(context).summary(summary))
  return program
}

/** The program with the options that every command has. */
function emptyProgram(): Command {
  const program = new Command('neve').version(`neve ${version}`, '-V, --version', 'print the version')
  return addLogOptions(addStoreOptions(program)).option('--no-progress', 'draw no progress bars')
}

/** Output goes through ours, in our form; nothing ends the process. */
function adjust(command: Command, context: Context): Command {
  for (const part of command.commands) adjust(part, context)
  return command
    .exitOverride()
    .helpOption('-h, --help', 'print this help')
    .configureHelp({ showGlobalOptions: true, helpWidth: 110 })
    .configureOutput({
      writeOut: (text) => void context.io.stdout.write(text).catch(() => {}),
      writeErr: (text) => context.io.stderr.write(text),
      outputError: (text, write) => write(`neve: ${usageMessage(text)}\n`),
    })
}

/** `error: unknown command 'imprt'\n(Did you mean import?)` as one line. */
function usageMessage(text: string): string {
  const [error = '', hint] = text.trim().split('\n')
  const message = oneLine(error)
    .replace(/^error: (command-argument )?/, '')
    .replace(/\. Allowed choices are/, ': expected one of')
    .replace(/\. (Expected)/, ': expected')
    .replace(/\.$/, '')
  return hint === undefined ? `${message}; see neve --help` : `${message} ${oneLine(hint).toLowerCase()}`
}

/** The word that names the command: the first that is neither an option nor the value of one. */
export function commandName(argv: readonly string[]): string | undefined {
  const words = argv[0] === 'help' ? argv.slice(1) : argv
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!
    if (STORE_FLAGS.includes(word) || LOG_FLAGS.includes(word)) at++
    else if (!word.startsWith('-')) return word
  }
  return undefined
}
