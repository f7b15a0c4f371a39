import { type Command, InvalidArgumentError, Option } from 'commander'
import type { GlobalOptions } from '../context.js'
import type { HttpOptions } from '../http/options.js'
import { parseDuration } from '../numbers.js'
import type { GcFlags } from './gc-plan.js'
import type { ListenRequest } from './listening.js'

/** Who may connect to a socket file. */
const SOCKET_MODES = { owner: 0o600, group: 0o660, everybody: 0o666 } as const

/** Options of what listens on sockets (spec 08 section 4.2). */
export interface ListeningOptions {
  readonly listenAddress?: readonly string[]
  readonly unixListenUnlink?: boolean
  readonly unixListenChmod?: keyof typeof SOCKET_MODES
  readonly unixListenUid?: number
  readonly unixListenGid?: number
  readonly sdAcceptIgnoreEnvironment?: boolean
  readonly tcpKeepalive?: number
  readonly tcpOnlyV6?: boolean
  readonly tcpListenBacklog?: number
}

/** Options that say who gets in. */
export interface AccessOptions {
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly tlsClientCa?: string
  readonly tokenFile?: string
  readonly readOnly?: boolean
  readonly insecure?: boolean
}

/** Options of the commands that serve a store. They can be sent to another process as JSON. */
export interface DaemonOptions extends GlobalOptions, ListeningOptions, AccessOptions, HttpOptions, GcFlags {
  readonly verifyPut?: boolean
  readonly workers: number
  readonly grace: number
  /** In milliseconds. */
  readonly gcGrace: number
  readonly readyFd?: number
  /** Where the binary cache is served beside gRPC. */
  readonly http?: readonly string[]
  /** False with `--no-list`. */
  readonly list?: boolean
  readonly scrubEvery?: string
  readonly scrubBandwidth?: string
  readonly scrubState?: string
}

const DEFAULT_GRPC = '[::1]:8000'
const DEFAULT_HTTP = '[::1]:9000'

/** Where `--listen-address` or the environment wants gRPC to be served. */
export function grpcRequest({ listenAddress }: ListeningOptions): ListenRequest {
  const addresses = listenAddress ?? addressesOf(process.env['NEVE_LISTEN_ADDRESS']) ?? [DEFAULT_GRPC]
  return { flag: '--listen-address', protocol: 'grpc', addresses }
}

/** The same for HTTP, of a command that serves nothing else. */
export function httpRequest({ listenAddress }: ListeningOptions): ListenRequest {
  const addresses = listenAddress ?? addressesOf(process.env['NEVE_HTTP_LISTEN_ADDRESS']) ?? [DEFAULT_HTTP]
  return { flag: '--listen-address', protocol: 'http', addresses }
}

/** Where `--http` or the environment wants HTTP to be served beside gRPC, if anywhere. */
export function besideRequest({ http }: DaemonOptions): ListenRequest {
  const addresses = http ?? addressesOf(process.env['NEVE_HTTP_LISTEN_ADDRESS']) ?? []
  return { flag: '--http', protocol: 'http', addresses }
}

/** The addresses that a variable has, separated by spaces; undefined where it has none. */
function addressesOf(variable = ''): readonly string[] | undefined {
  const texts = variable.split(/\s+/).filter((text) => text !== '')
  return texts.length === 0 ? undefined : texts
}

const ADDRESSES = `
An ADDRESS is one of
  IPv4:port, [IPv6]:port   TCP; port 0 is any that is free. Host names are not taken
  /path, ./path            a socket file
  @name                    an abstract socket, which has no file
  sd-listen                the socket that systemd passed; sd-listen:NAME those of a name, sd-listen:* all
`

const RUNNING = `
The line on standard error that tells the URLs appears once clients can connect. A stop (SIGTERM or Ctrl-C) lets calls
that run end, for as long as --grace says; a second one ends at once.

On addresses that other machines can reach it needs --tls-client-ca, so that only clients with a certificate get in;
or --token-file, so that only those with a token do; or --insecure. A token file has 'read TOKEN' or 'write TOKEN' on
each line, and is for its owner and group only. It is read again within a second after it has changed, and on
SIGHUP.`

/** What the help of commands that serve HTTP alone ends with. */
export const HTTP_HELP = `${ADDRESSES}${RUNNING} With --read-only everybody may
read. Nix sends a token as the password that its netrc file has for the host.
`

/** What the help of commands that serve gRPC ends with. */
export const DAEMON_HELP = `${ADDRESSES}\
  stdio, inetd, -          one connection over standard input and output
NEVE_LISTEN_ADDRESS says where, separated by spaces, when no flag does.
${RUNNING} Clients take theirs from NEVE_TOKEN, or from
the file that their address names: grpc+https://host?token-file=/path
`

/** Adds the options of commands that serve gRPC. */
export function addDaemonOptions(command: Command): Command {
  return addReadOnly(addServingOptions(command, DEFAULT_GRPC)).option(
    '--verify-put',
    'hash a blob when its list of chunks is uploaded, not only when it is read (clients of newest Snix)',
  )
}

/** Adds the option that serves the binary cache beside gRPC. */
export function addHttpListening(command: Command): Command {
  return command.addOption(
    new Option(
      '--http [address]',
      `serve the store as a binary cache, too: where; may be given several times (without one: ${DEFAULT_HTTP})`,
    )
      .preset(DEFAULT_HTTP)
      .argParser(several),
  )
}

/** Adds the options of a command that serves HTTP alone. */
export function addHttpServingOptions(command: Command): Command {
  return addReadOnly(addServingOptions(command, DEFAULT_HTTP))
}

/** The same for one that takes nothing in any case. */
export function addSiteServingOptions(command: Command): Command {
  return addServingOptions(command, DEFAULT_HTTP)
}

function addReadOnly(command: Command): Command {
  return command.option('--read-only', 'refuse everything that would change the store')
}

function several(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text]
}

function addServingOptions(command: Command, defaultListen: string): Command {
  addListeningOptions(command, defaultListen)
  return command
    .option(
      '--tls-cert <file>',
      'serve TCP over TLS: the certificate, with those between it and its authority, in PEM',
    )
    .option('--tls-key <file>', 'the private key of the certificate, in PEM')
    .option('--tls-client-ca <file>', 'let in only clients with a certificate of these authorities, in PEM')
    .option('--token-file <file>', 'let in only clients with one of the tokens in this file')
    .option('--insecure', 'let in everybody on addresses that others can reach')
    .addOption(
      new Option('--workers <number>', 'serve with so many processes; not for stores in memory')
        .default(1)
        .argParser(number('a number of processes', 1, 256)),
    )
    .addOption(
      new Option('--grace <seconds>', 'how long calls that run may go on after a stop')
        .default(10)
        .argParser(parseSeconds),
    )
    .addOption(
      new Option('--gc-grace <duration>', 'how long clients may go by what they were told of garbage')
        .default(3_600_000, '1h')
        .argParser((text) => parseDuration('--gc-grace', text)),
    )
    .option(
      '--ready-fd <number>',
      'write a line break to this descriptor when clients can connect',
      number('the number of a file descriptor', 0, 99_999),
    )
}

function addListeningOptions(command: Command, defaultListen: string): Command {
  return command
    .option(
      '-l, --listen-address <address>',
      `where to listen; may be given several times (default: ${defaultListen})`,
      several,
    )
    .option('--unix-listen-unlink', 'replace a socket file on which nobody answers any more')
    .addOption(
      new Option(
        '--unix-listen-chmod <who>',
        'who may connect to socket files: mode 0600, 0660 or 0666 (default: by umask)',
      ).choices(Object.keys(SOCKET_MODES)),
    )
    .option('--unix-listen-uid <number>', 'the user who is to own socket files', userNumber)
    .option('--unix-listen-gid <number>', 'the group that is to own socket files', userNumber)
    .option(
      '--sd-accept-ignore-environment',
      'take descriptor 3 for sd-listen, whatever LISTEN_PID and others say',
    )
    .option(
      '--tcp-keepalive <milliseconds>',
      'after how long a silence to ask whether a peer is still there (default: never)',
      number('milliseconds, at least 1000', 1000, 32_767_000),
    )
    .option('--tcp-only-v6', 'leave IPv4 out on IPv6 addresses such as [::]')
    .option(
      '--tcp-listen-backlog <number>',
      'how many connections may wait to be accepted (default: 1024)',
      number('a number of connections', 1, 65_535),
    )
}

const userNumber = number('a number, not a name', 0, 0xffff_fffe)

/** The mode that `--unix-listen-chmod` names. */
export function socketMode(who: keyof typeof SOCKET_MODES | undefined): number | undefined {
  return who === undefined ? undefined : SOCKET_MODES[who]
}

function number(expected: string, least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d{1,10}$/.test(text) && value >= least && value <= most) return value
    throw new InvalidArgumentError(`Expected ${expected}`)
  }
}

function parseSeconds(text: string): number {
  if (/^\d{1,5}(\.\d+)?$/.test(text)) return Number(text)
  throw new InvalidArgumentError('Expected a number of seconds')
}
