import { open, unlink } from 'node:fs/promises'
import { Argument, Command } from 'commander'
import type { Context, GlobalOptions } from '../context.js'
import { systemReason, UsageError } from '../messages.js'
import { refuseStoreOptions } from '../store-options.js'

interface KeyOptions extends GlobalOptions {
  readonly output?: string
}

const EXAMPLES = `
Examples:
  $ neve key generate cache.example.org-1 -o secret.key
  cache.example.org-1:JmR2VZw8oI7q6mZQ6rM8nSg0gX3Yx0x2l2Yw6nB1k0c=
  $ neve key public secret.key
  cache.example.org-1:JmR2VZw8oI7q6mZQ6rM8nSg0gX3Yx0x2l2Yw6nB1k0c=

generate makes a key that Nix understands, for signing what is stored: -o FILE takes the secret one, which must not be
there before and which only its owner can read, and the public one is printed. Without -o the secret one is printed.
public prints the public key of a file with a secret one. Others trust it as one of their trusted-public-keys. What is
stored is signed with "neve sign".
`

/** `neve key generate NAME`, `neve key public FILE` (spec 09 section 12). */
export function keyCommand(context: Context): Command {
  return new Command('key')
    .description('Make a key that signs path infos, or tell the public half of one.')
    .addArgument(new Argument('<what>', 'what to do').choices(['generate', 'public']))
    .argument('<name>', 'of the new key, such as cache.example.org-1; or the file with the secret key')
    .option('-o, --output <file>', 'where to write the secret key, instead of to standard output')
    .addHelpText('after', EXAMPLES)
    .action((what: string, name: string, _: unknown, self: Command) => {
      const options = self.optsWithGlobals<KeyOptions>()
      refuseStoreOptions(options, 'key')
      return what === 'generate' ? generate(context, name, options) : tellPublic(context, name, options)
    })
}

async function generate({ io }: Context, name: string, { output }: KeyOptions): Promise<void> {
  if (output === '') throw new UsageError('-o needs the name of a file')
  const { SecretKey, SignatureError } = await import('@neve/nix-compat')
  let key: InstanceType<typeof SecretKey>
  try {
    key = SecretKey.generate(name)
  } catch (error) {
    if (error instanceof SignatureError) throw new UsageError(error.message)
    throw error
  }
  if (output === undefined) {
    await io.stdout.write(`${key.toSecretText()}\n`)
    return
  }
  try {
    // Never over a key that is there: what it has signed could not be signed again.
    await using file = await open(output, 'wx', 0o600)
    try {
      await file.writeFile(`${key.toSecretText()}\n`)
      await file.sync()
    } catch (error) {
      // A part of a key is of no use, and would stand in the way of the next try.
      await unlink(output)
      throw error
    }
  } catch (error) {
    throw new Error(`${output}: ${systemReason(error)}`, { cause: error })
  }
  await io.stdout.write(`${key.publicKey}\n`)
}

async function tellPublic({ io }: Context, file: string, { output }: KeyOptions): Promise<void> {
  if (output !== undefined) throw new UsageError('key public writes to standard output: it takes no -o')
  const { readKeyFile } = await import('@neve/store-pathinfo')
  await io.stdout.write(`${(await readKeyFile(file)).publicKey}\n`)
}
