/**
 * Trees out of the store and back onto a disk.
 *
 * ```ts
 * import { exportPath } from '@neve/castore-services/export'
 *
 * const { files, bytes } = await exportPath({ blobs, directories }, node, './restored')
 * ```
 *
 * @packageDocumentation
 */
export { fileContent } from './content-source.js'
export { ExportPathError, type ExportPathErrorCode } from './errors.js'
export {
  type ExportPathOptions,
  type ExportProgress,
  type ExportServices,
  exportPath,
} from './export-path.js'
