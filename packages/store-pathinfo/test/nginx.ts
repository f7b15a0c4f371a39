import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../../scripts/free-port.mjs'
import { programIsThere, temporaryFolder } from './support.js'

/** Debian's place: it is not in everybody's PATH. */
const NGINX = '/usr/sbin/nginx'

/** What needs nginx is skipped without; where all is required, it fails. */
export const nginxIsThere = programIsThere(NGINX, '-v')

/** nginx that serves the files of a folder on this machine. */
export class Nginx implements AsyncDisposable {
  readonly port: number
  readonly #process: ChildProcess
  readonly #log: string

  private constructor(port: number, process: ChildProcess, log: string) {
    this.port = port
    this.#process = process
    this.#log = log
  }

  static async serve(root: string): Promise<Nginx> {
    const prefix = temporaryFolder()
    const port = await freePort()
    const log = join(prefix, 'access.log')
    mkdirSync(join(prefix, 'temp'))
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    writeFileSync(
      join(prefix, 'nginx.conf'),
      `daemon off; master_process off; pid ${prefix}/pid; error_log stderr;
events {}
http {
  ${temporary.map((name) => `${name}_temp_path ${prefix}/temp/${name};`).join('\n  ')}
  log_format plain '$request_method $uri $status';
  access_log ${log} plain;
  server { listen 127.0.0.1:${port}; root ${root}; }
}
`,
    )
    const child = spawn(NGINX, ['-p', prefix, '-c', join(prefix, 'nginx.conf')], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let said = ''
    child.stderr!.on('data', (piece: Buffer) => {
      said += piece.toString()
    })
    while (!(await answers(port))) {
      if (child.exitCode !== null) throw new Error(`nginx ended with ${child.exitCode}: ${said}`)
      await sleep(5)
    }
    return new Nginx(port, child, log)
  }

  /** The requests that it has answered: `GET /nix-cache-info 200`. */
  requests(): string[] {
    return readFileSync(this.#log, 'utf8').split('\n').filter(Boolean)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill()
    if (this.#process.exitCode === null) await once(this.#process, 'exit')
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}
