import type { WriteSession } from '@neve/embedded-store'
import type { UploadedNar } from './upload-record.js'

/**
 * The names under which NARs were put. Nix remembers them, and asks for them for as long as it remembers. A NAR that no
 * narinfo has named yet is only pending: see {@link expire}.
 */
export interface UploadedNars {
  find(name: string, signal: AbortSignal): Promise<UploadedNar | undefined>

  /**
   * Records a NAR that nothing names yet.
   *
   * @param receive stores its contents: in the session, where there is one, else durably
   * @returns once contents and record are durable
   */
  add(receive: (session: WriteSession | undefined) => Promise<UploadedNar>): Promise<void>

  /**
   * Keeps a NAR for good, now that a narinfo names it.
   *
   * @param name stores what names it, durably, with all that is in the session, where there is one
   * @returns what that gives, once both are durable
   */
  adopt<T>(nar: UploadedNar, name: (session: WriteSession | undefined) => Promise<T>): Promise<T>

  /**
   * Forgets NARs that were put long ago and that no narinfo named. Their contents stay, as long as the store keeps what
   * nothing names.
   *
   * @param age milliseconds since they were put
   * @returns how many they were
   */
  expire(age: number, now?: number): Promise<number>
}
