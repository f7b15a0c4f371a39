/**
 * Store paths over castore: PathInfo, NAR rendering, and whole stores.
 *
 * @packageDocumentation
 */
export { EmbeddedPathInfos } from './embedded-path-infos.js'
export { StoreError, type StoreErrorCode } from './errors.js'
export { checkName, type ImportedPath, storePathName } from './import-path.js'
export { calculateNar, type NarMeasure } from './measure-nar.js'
export { NarHashSink } from './nar-hash-sink.js'
export {
  CaKind,
  decodePathInfo,
  encodePathInfo,
  type PathInfo,
  type PathInfoCa,
  type PathInfoSignature,
} from './path-info.js'
export { type NarServices, type RenderNarOptions, renderNar } from './render-nar.js'
export {
  embeddedPath,
  type ImportPathOptions,
  type OpenStoreOptions,
  openStore,
  parseAddress,
  type Resolved,
  Store,
} from './store.js'
export { defaultStorePath } from './store-location.js'
