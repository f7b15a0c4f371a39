/**
 * Cells of a Bigtable table, for the services that keep things in them.
 *
 * @packageDocumentation
 */
export type { BigtableClient } from '../directory/bigtable/client.js'
export type { BigtableConfig, BigtableConfigInput } from '../directory/bigtable/config.js'
export type { CellWrite, ColumnFilter } from '../directory/bigtable/messages.js'
export { type OpenBigtableOptions, openBigtableClient } from '../directory/bigtable/open-client.js'
export { MAX_CELL_SIZE, type Row } from '../directory/bigtable/rows.js'
