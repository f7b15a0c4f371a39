export { type GrpcAddress, type GrpcAddressOptions, parseGrpcUrl } from './address.js'
export {
  DEFAULT_MAX_MESSAGE_SIZE,
  DEFAULT_WINDOW,
  type Generation,
  GrpcChannel,
  type GrpcChannelOptions,
  openGrpcChannel,
} from './channel.js'
export type { GrpcClientTls } from './tls.js'
