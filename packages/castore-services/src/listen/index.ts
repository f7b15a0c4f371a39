/**
 * Sockets that servers listen on: addresses, socket files, and what a service manager passes (spec 08 section 4).
 *
 * @packageDocumentation
 */
export {
  type BoundSocket,
  isLoopback,
  type ListenSocketOptions,
  listenOn,
  type OnConnection,
} from './bound-socket.js'
export { LISTEN_ADDRESS_FORMS, type ListenAddress, parseListenAddress } from './listen-address.js'
export { type PassedSocketsEnvironment, passedEnvironment } from './passed-sockets.js'
export { type ServiceManager, serviceManager } from './service-manager.js'
export type { SocketFileOptions } from './socket-file.js'
export { standardStreams } from './standard-streams.js'
