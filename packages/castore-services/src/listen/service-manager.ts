import { sendDatagram } from './native-sockets.js'

/** Tells the service manager that started this process how it is. */
export interface ServiceManager {
  /** It serves. */
  ready(): void
  /** It takes no more work, and will end. */
  stopping(): void
}

/**
 * The service manager that `NOTIFY_SOCKET` names, by systemd's protocol of notifications; undefined without one. The
 * variable is gone then: children are not meant by it.
 *
 * @param onError told why it could not be told, which is no reason to end
 */
export function serviceManager(onError: (error: unknown) => void): ServiceManager | undefined {
  const { NOTIFY_SOCKET: socket } = process.env
  delete process.env['NOTIFY_SOCKET']
  if (socket === undefined || !/^[@/]/.test(socket)) return undefined
  const tell = (state: string): void => {
    try {
      sendDatagram(socket, Buffer.from(state))
    } catch (error) {
      onError(error)
    }
  }
  return { ready: () => tell('READY=1'), stopping: () => tell('STOPPING=1') }
}
