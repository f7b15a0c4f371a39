import type { CallOptions } from '@neve/castore-services'
import {
  type BigtableClient,
  type BigtableConfig,
  type BigtableConfigInput,
  MAX_CELL_SIZE,
  type OpenBigtableOptions,
  openBigtableClient,
  type Row,
} from '@neve/castore-services/bigtable'
import { StoreError } from './errors.js'
import { KeyedPathInfos } from './path-info/keyed.js'
import { ListFilter } from './path-info/list-filter.js'
import { readonlyRefusal } from './path-info/readonly.js'
import { decodeStored } from './path-info/stored.js'
import type { PathInfo } from './path-info.js'
import type { ListPathInfosOptions, PathInfoService, PutPathInfoOptions } from './path-info-service.js'

const ANY_KEY = '[0-9a-f]{40}'

/** Rows that a list reads at a time. */
const ROWS_A_PAGE = 256

/**
 * Path infos in a table of Google Cloud Bigtable, laid out as the reference does (spec 07 section 6.4): the row's key and
 * the column's qualifier are the digest in lower-case hex, the value is the message. Table and column family have to
 * exist. Nothing is contacted before the first call.
 *
 * A new one is one conditional write, and so is a change of one. Where the reference keeps the first one that was put,
 * signatures are merged here, of several processes at the same moment, too.
 *
 * Loads the gRPC library when called, and Google's authentication library unless there is an emulator.
 *
 * @param config the keys of `bigtableConfigSchema`, or a `bigtable://instance?project_id=…` URL
 * @throws CastoreError `invalid-request` that names the key which is missing, unknown or wrong
 */
export async function openBigtablePathInfoService(
  config: BigtableConfigInput | URL | string,
  options?: OpenBigtableOptions,
): Promise<PathInfoService & { close(): Promise<void> }> {
  const { client, known } = await openBigtableClient(config, options)
  return new BigtablePathInfoService(client, known)
}

class BigtablePathInfoService implements PathInfoService {
  readonly #client: BigtableClient
  readonly #infos: KeyedPathInfos
  readonly #family: string
  /** As a regular expression. */
  readonly #familyPattern: string
  readonly #readOnly: boolean
  readonly #name: string

  constructor(client: BigtableClient, config: BigtableConfig) {
    this.#client = client
    this.#family = config.family_name
    this.#familyPattern = config.family_name.replaceAll('.', '\\.')
    this.#readOnly = config.is_read_only
    this.#name = `bigtable://${config.instance_name}/${config.table_name}`
    this.#infos = new KeyedPathInfos({
      name: this.#name,
      read: (key, options) => this.#read(key, options),
      writeNew: async (key, value, options) =>
        !(await client.writeCellUnless(this.#cell(key, value), this.#filter(key), options)),
      write: (key, value, options) => client.writeCells([this.#cell(key, value)], options),
      replace: (key, expected, value, options) =>
        client.replaceCell(this.#cell(key, value), this.#filter(key), expected, options),
    })
  }

  async get(digest: Uint8Array, options: CallOptions = {}): Promise<PathInfo | undefined> {
    return this.#infos.get(digest, options)
  }

  async has(digest: Uint8Array, options: CallOptions = {}): Promise<boolean> {
    return (await this.#infos.get(digest, options)) !== undefined
  }

  async put(info: PathInfo, options: PutPathInfoOptions = {}): Promise<PathInfo> {
    options.signal?.throwIfAborted()
    if (this.#readOnly) throw readonlyRefusal()
    return this.#infos.put(info, options)
  }

  async *list(options: ListPathInfosOptions = {}): AsyncGenerator<PathInfo, void, undefined> {
    const { signal } = options
    signal?.throwIfAborted()
    const filter = new ListFilter(options)
    let left = filter.limit
    if (left === 0) return
    let after = filter.from === undefined ? '' : Buffer.from(filter.from).toString('hex')
    for (;;) {
      const rows = await this.#client.readRowsAfter(Buffer.from(after), this.#filter(ANY_KEY), ROWS_A_PAGE, {
        signal,
      })
      for (const row of rows) {
        const digest = Buffer.from(row.key, 'hex')
        if (!new RegExp(`^${ANY_KEY}$`).test(row.key) || !filter.wantsDigest(digest)) continue
        const info = decodeStored(this.#name, digest, this.#valueOf(row.key, row))
        if (!filter.wants(info)) continue
        yield info
        signal?.throwIfAborted()
        if (--left === 0) return
      }
      if (rows.length < ROWS_A_PAGE) return
      after = rows.at(-1)!.key
    }
  }

  async close(): Promise<void> {
    this.#client.close()
  }

  async #read(key: string, options: CallOptions): Promise<Uint8Array | undefined> {
    const [row] = await this.#client.readRows([Buffer.from(key)], this.#filter(key), 1, options)
    return row && this.#valueOf(key, row)
  }

  /** The value of the one cell that a row has to have. */
  #valueOf(key: string, row: Row): Uint8Array {
    if (row.key !== key) throw new StoreError('storage', `${this.#name}: got wrong row key`)
    const [cell, another] = row.cells
    const wrong =
      cell === undefined
        ? 'no cell'
        : another !== undefined
          ? 'more than one cell'
          : cell.family !== this.#family || cell.qualifier !== key
            ? 'a cell of another column'
            : undefined
    if (wrong === undefined) return cell!.value
    throw new StoreError(
      'data-loss',
      `the path info that is stored under ${key} has ${wrong} (${this.#name})`,
    )
  }

  #filter(qualifier: string): { readonly family: string; readonly qualifier: string } {
    return { family: this.#familyPattern, qualifier }
  }

  #cell(key: string, value: Uint8Array): { family: string; key: Uint8Array; value: Uint8Array } {
    if (value.length > MAX_CELL_SIZE) {
      const detail = `the path info has ${value.length} bytes, a cell at most ${MAX_CELL_SIZE}`
      throw new StoreError('too-large', `${this.#name}: ${detail}`)
    }
    return { family: this.#family, key: Buffer.from(key), value }
  }
}
