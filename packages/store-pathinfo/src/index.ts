/**
 * Store paths over castore: PathInfo, NAR rendering, and whole stores.
 *
 * @packageDocumentation
 */

export { ClosureSizes } from './closure-sizes.js'
export { type CompressNarOptions, compressNar } from './compress-nar.js'
export type { CopiedPath, CopyPathsOptions } from './copy-paths.js'
export { embeddedPath } from './embedded-address.js'
export { StoreError, type StoreErrorCode } from './errors.js'
export type { ImportArchiveOptions, ImportedArchive } from './import-archive.js'
export type { ImportedNar, ImportNarOptions, IngestCompressedNarOptions } from './import-nar.js'
export { checkName, type ImportedPath, storePathName } from './import-path.js'
export { formatInfusedNar, type InfusedNar, parseInfusedNar } from './infused-nar.js'
export { type IngestedNar, type IngestNarOptions, ingestNar, type NarTarget } from './ingest-nar.js'
export { listNar } from './list-nar.js'
export {
  type ContentMeasure,
  chunksOf,
  type MeasureContentOptions,
  measureContent,
  type StoredChunk,
} from './measure-content.js'
export { calculateNar, type NarMeasure } from './measure-nar.js'
export { LocalNarCalculation } from './nar-calculation.js'
export { NarHashSink } from './nar-hash-sink.js'
export { NarLayout, NarLayouts } from './nar-layout.js'
export { type NarMismatch, NarMismatchError } from './nar-mismatch-error.js'
export { NarPlans } from './nar-plans.js'
export { NarReader, type NarReaderServices, type OpenNarOptions } from './nar-reader.js'
export { type FormattedPath, formatNixPathInfos, type NixJsonFormat } from './nix-json/format.js'
export { parseNixPathInfoLine, parseNixPathInfos } from './nix-json/parse.js'
export { type ReadNixPathInfosOptions, readNixPathInfos } from './nix-json/read.js'
export { type Castore, openCastore } from './open-castore.js'
export {
  type LocalStore,
  type OpenWholeStoreOptions,
  openLocalStore,
  openStore,
  type StoreSources,
} from './open-store.js'
export { CachePathInfoService, type CachePathInfoServiceInit } from './path-info/cache.js'
export { EmbeddedPathInfoService, type PutEmbeddedPathInfoOptions } from './path-info/embedded.js'
export { LruPathInfoService } from './path-info/lru.js'
export { MemoryPathInfoService } from './path-info/memory.js'
export { ReadonlyPathInfoService } from './path-info/readonly.js'
export {
  readKeyFile,
  type SignedPath,
  SigningPathInfoService,
  signPathInfo,
  signStored,
} from './path-info/signing.js'
export {
  fromNarInfo,
  type NarLocation,
  narInfoText,
  type PathInfo,
  pathInfoFingerprint,
  toNarInfo,
} from './path-info.js'
export { decodePathInfo, encodePathInfo } from './path-info-codec.js'
export { InvalidPathInfoError, type PathInfoCondition } from './path-info-error.js'
export type {
  ListPathInfosOptions,
  NarCalculationService,
  PathInfoService,
  PathMetadata,
  PutPathInfoOptions,
} from './path-info-service.js'
export { type PlainNarOptions, plainNar } from './plain-nar.js'
export {
  type PushClosureOptions,
  type PushedPath,
  type PushProgress,
  type PushSource,
  type PushTarget,
  pushClosure,
} from './push/push-closure.js'
export { metadataOf, type ReferenceClosureOptions, referenceClosure } from './push/reference-closure.js'
export { type NarServices, type RenderNarOptions, renderNar } from './render-nar.js'
export { PathInfoRoots, type StoreRoot } from './root-nodes.js'
export type { OpenedCastore, OpenStoreOptions } from './service-opener.js'
export { Sha256Stream } from './sha256-stream.js'
export {
  type ContentSharedWithOthers,
  type SharedContent,
  sharedContent,
  sharedWithOthers,
} from './shared-content.js'
export {
  type ImportPathOptions,
  parseAddress,
  type Resolved,
  Store,
  type StoreParts,
} from './store.js'
export { defaultStoreAddress } from './store-location.js'
export { allPathDigests, reachablePaths } from './verify/all-paths.js'
export type { Damage, DamageKind, Fault, VerifiedPath } from './verify/damage.js'
export {
  type VerifyPathsOptions,
  type VerifyProgress,
  verifyPaths,
} from './verify/verify-paths.js'
export { type VerifyState, VerifyStateFile } from './verify/verify-state.js'
export { type TreeStep, walkNode } from './walk-node.js'
