export { type NixHttpAddress, parseNixHttpAddress } from './address.js'
export type { RemoteCastore } from './remote-castore.js'
export { NixHttpPathInfoService, type NixHttpPathInfoServiceInit } from './service.js'
export { UpstreamError, type UpstreamProblem } from './upstream-error.js'
