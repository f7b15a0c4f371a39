import type { StoreSources } from '@neve/store-pathinfo'
import type { Command } from 'commander'
import { UsageError } from './messages.js'

/** Options that say where things are stored. */
export interface StoreOptions {
  readonly store?: string | undefined
  readonly storeConfig?: string | undefined
  readonly blobServiceAddr?: string | undefined
  readonly directoryServiceAddr?: string | undefined
  readonly pathInfoServiceAddr?: string | undefined
}

type Environment = Readonly<Record<string, string | undefined>>

/** The flags, by what commander calls their values. */
const FLAGS = {
  store: '--store',
  storeConfig: '--store-config',
  blobServiceAddr: '--blob-service-addr',
  directoryServiceAddr: '--directory-service-addr',
  pathInfoServiceAddr: '--path-info-service-addr',
} as const

/** Options of every command that take a value. */
export const STORE_FLAGS: readonly string[] = Object.values(FLAGS)

/** Adds the options to the program. */
export function addStoreOptions(program: Command): Command {
  return program
    .option(
      '--store <address>',
      'the store: a folder, grpc+unix:/run/neve.sock, objectstore+s3://… (default: $NEVE_STORE, see below)',
    )
    .option('--store-config <file>', 'a composition file: blobs, directories and path infos elsewhere')
    .option('--blob-service-addr <address>', 'where blobs are, such as grpc+unix:/run/neve.sock')
    .option('--directory-service-addr <address>', 'where directories are')
    .option('--path-info-service-addr <address>', 'where path infos are')
}

/**
 * What the options and the environment say of the store. A flag goes before any variable, and `--store` before all of
 * them; a composition file goes before the addresses of blobs and directories, as in spec 08 section 2.2.
 *
 * @returns the address of a whole store, parts, or undefined for the default
 * @throws UsageError for flags that cannot be given together, or that are empty
 */
export function storeSources(
  options: StoreOptions,
  environment: Environment = process.env,
): string | StoreSources | undefined {
  for (const [key, flag] of Object.entries(FLAGS)) {
    if (options[key as keyof typeof FLAGS] !== '') continue
    throw new UsageError(`${flag} needs ${key === 'storeConfig' ? 'a file' : 'an address'}, got ""`)
  }
  const { store, storeConfig, blobServiceAddr, directoryServiceAddr } = options
  if (store !== undefined) {
    refuseTogether(options, 'store', [
      'storeConfig',
      'blobServiceAddr',
      'directoryServiceAddr',
      'pathInfoServiceAddr',
    ])
    return store
  }
  if (storeConfig !== undefined) {
    refuseTogether(options, 'storeConfig', ['blobServiceAddr', 'directoryServiceAddr'])
  }
  const pathInfos = options.pathInfoServiceAddr ?? environmentVariable('PATH_INFO_SERVICE_ADDR', environment)
  const some = blobServiceAddr ?? directoryServiceAddr
  const named =
    given(environment['NEVE_STORE_CONFIG']) ??
    environmentVariable('EXPERIMENTAL_STORE_COMPOSITION', environment)
  const config = storeConfig ?? (some === undefined ? named : undefined)
  if (config !== undefined) return { config, pathInfos }
  const blobs = blobServiceAddr ?? environmentVariable('BLOB_SERVICE_ADDR', environment)
  const directories = directoryServiceAddr ?? environmentVariable('DIRECTORY_SERVICE_ADDR', environment)
  if (blobs === undefined && directories === undefined && pathInfos === undefined) return undefined
  return { blobs, directories, pathInfos }
}

function refuseTogether(
  options: StoreOptions,
  one: keyof typeof FLAGS,
  others: readonly (keyof typeof FLAGS)[],
): void {
  const other = others.find((key) => options[key] !== undefined)
  if (other === undefined) return
  const says = one === 'store' ? 'everything is' : 'blobs and directories are'
  throw new UsageError(
    `${FLAGS[one]} and ${FLAGS[other]} cannot be given together: ${FLAGS[one]} says where ${says}`,
  )
}

/**
 * For commands whose arguments say where things are.
 *
 * @throws UsageError when one of the options is given all the same
 */
export function refuseStoreOptions(options: StoreOptions, command: string): void {
  for (const [key, flag] of Object.entries(FLAGS)) {
    if (options[key as keyof typeof FLAGS] === undefined) continue
    throw new UsageError(`${command} takes no ${flag}: its arguments say where things are`)
  }
}

/** The value of a variable of ours, `NEVE_<name>`, else of the reference implementation's, `<name>`; not where it is empty. */
export function environmentVariable(
  name: string,
  environment: Environment = process.env,
): string | undefined {
  return given(environment[`NEVE_${name}`]) ?? given(environment[name])
}

/** Whether a variable says yes. */
export function isOn(value: string | undefined): boolean {
  return value !== undefined && !['0', 'false', 'no', 'off'].includes(value.toLowerCase())
}

function given(value: string | undefined): string | undefined {
  return value === '' ? undefined : value
}
