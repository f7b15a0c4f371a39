export { bytes, pathInfoOf, randomPathInfo } from './path-info-fixtures.js'
export {
  type PathInfoServiceCapabilities,
  type PathInfoServiceContractInit,
  pathInfoServiceContract,
} from './path-info-service-contract.js'
