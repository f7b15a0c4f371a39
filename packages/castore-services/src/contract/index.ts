export { type BlobServiceContractInit, blobServiceContract } from './blob-service-contract.js'
export type { ServiceFixture } from './service-fixture.js'
