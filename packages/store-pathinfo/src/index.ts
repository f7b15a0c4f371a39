/**
 * Store paths over castore: PathInfo, NAR rendering, and whole stores.
 *
 * @packageDocumentation
 */

export { type CompressNarOptions, compressNar } from './compress-nar.js'
export { embeddedPath } from './embedded-address.js'
export { EmbeddedPathInfos } from './embedded-path-infos.js'
export { StoreError, type StoreErrorCode } from './errors.js'
export type { ImportArchiveOptions, ImportedArchive } from './import-archive.js'
export { checkName, type ImportedPath, storePathName } from './import-path.js'
export { listNar } from './list-nar.js'
export { calculateNar, type NarMeasure } from './measure-nar.js'
export { MemoryPathInfos } from './memory-path-infos.js'
export { NarHashSink } from './nar-hash-sink.js'
export { NarLayout, NarLayouts } from './nar-layout.js'
export { NarReader, type NarReaderServices, type OpenNarOptions } from './nar-reader.js'
export { type Castore, openCastore } from './open-castore.js'
export { type LocalStore, openStore, type StoreSources } from './open-store.js'
export {
  CaKind,
  decodePathInfo,
  encodePathInfo,
  type PathInfo,
  type PathInfoCa,
  type PathInfoSignature,
} from './path-info.js'
export type { PathInfoService } from './path-info-service.js'
export { type NarServices, type RenderNarOptions, renderNar } from './render-nar.js'
export type { OpenedCastore, OpenStoreOptions } from './service-opener.js'
export {
  type ImportPathOptions,
  parseAddress,
  type Resolved,
  Store,
  type StoreParts,
} from './store.js'
export { defaultStorePath } from './store-location.js'
