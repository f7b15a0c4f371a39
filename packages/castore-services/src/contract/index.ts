export {
  type BlobListStoreContractInit,
  blobListStoreContract,
  type SplitStores,
} from './blob-list-store-contract.js'
export {
  type BlobServiceCapabilities,
  type BlobServiceContractInit,
  blobServiceContract,
} from './blob-service-contract.js'
export { type ChunkStoreContractInit, chunkStoreContract } from './chunk-store-contract.js'
export {
  type DirectoryServiceCapabilities,
  type DirectoryServiceContractInit,
  directoryServiceContract,
} from './directory-service-contract.js'
export { type ObjectStoreContractInit, objectStoreContract } from './object-store-contract.js'
export type { ServiceFixture } from './service-fixture.js'
