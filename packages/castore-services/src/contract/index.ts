export { type BlobServiceContractInit, blobServiceContract } from './blob-service-contract.js'
export {
  type DirectoryServiceCapabilities,
  type DirectoryServiceContractInit,
  directoryServiceContract,
} from './directory-service-contract.js'
export type { ServiceFixture } from './service-fixture.js'
