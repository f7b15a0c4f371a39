export { PATH_INFO_GRPC_SERVICE, type PathInfoMethods } from './definitions.js'
export { GrpcPathInfoService } from './path-info-service.js'
