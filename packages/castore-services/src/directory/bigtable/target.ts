import type { BigtableConfig } from './config.js'

/** Where Bigtable is, and what a request has to carry. */
export interface BigtableTarget {
  /** As grpc-js takes it: `bigtable.googleapis.com:443`, `unix:/run/bigtable`. */
  readonly address: string
  readonly tls: boolean
  /** Headers that prove who asks; called for each request, so it keeps what it got for as long as that is good. */
  readonly headers?: (() => Promise<Iterable<readonly [string, string]>>) | undefined
}

const ADDRESS = 'bigtable.googleapis.com:443'
const SCOPE = 'https://www.googleapis.com/auth/bigtable.data'

/**
 * The emulator, when the environment names one; else Google's service, with the credentials that its library finds
 * (`GOOGLE_APPLICATION_CREDENTIALS`, the user's, the machine's).
 */
export async function findTarget(
  { is_read_only, project_id }: Pick<BigtableConfig, 'is_read_only' | 'project_id'>,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<BigtableTarget> {
  const emulator = environment['BIGTABLE_EMULATOR_HOST']
  if (emulator !== undefined && emulator !== '') return emulatorTarget(emulator)
  return {
    address: ADDRESS,
    tls: true,
    headers: await googleHeaders(is_read_only ? `${SCOPE}.readonly` : SCOPE, project_id),
  }
}

/** @param host `host:port`, or `unix:` and the path of a socket, which may have slashes before it */
export function emulatorTarget(host: string): BigtableTarget {
  const address = host.startsWith('unix:') ? `unix:${host.slice('unix:'.length).replace(/^\/+/, '/')}` : host
  return { address, tls: false }
}

/**
 * The headers of Google's own credentials. Loads their library.
 *
 * @param projectId which is known already, so that it is not looked up
 */
export async function googleHeaders(
  scope: string,
  projectId: string,
): Promise<NonNullable<BigtableTarget['headers']>> {
  const { GoogleAuth } = await import('google-auth-library')
  const auth = new GoogleAuth({ scopes: [scope], projectId })
  return async () => (await auth.getRequestHeaders()).entries()
}
