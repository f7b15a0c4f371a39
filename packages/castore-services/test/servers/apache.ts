import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ObjectServer } from './object-server.js'
import { findProgram, ServerProcess } from './server-process.js'

const MODULES = '/usr/lib/apache2/modules'
const file = findProgram('/usr/sbin/apache2')
const dav = findProgram(join(MODULES, 'mod_dav_fs.so'))

/** WebDAV: Apache with mod_dav, as Debian has it, with a configuration of our own. */
export const APACHE: ObjectServer = {
  name: 'apache2',
  missing:
    file === undefined || dav === undefined
      ? 'apache2 with mod_dav is not installed (Debian: apache2-bin)'
      : undefined,
  async start() {
    const server = await ServerProcess.start(
      {
        file: file!,
        args: (port, folder) => [
          '-f',
          join(folder, 'httpd.conf'),
          '-c',
          `Listen 127.0.0.1:${port}`,
          '-D',
          'FOREGROUND',
        ],
      },
      prepare,
    )
    const origin = `http://127.0.0.1:${server.port}`
    return { process: server, origin, url: (path) => `${origin}/${path}`, options: {}, optionsAt: () => ({}) }
  },
}

function prepare(folder: string): void {
  for (const name of ['root', 'run']) {
    mkdirSync(join(folder, name))
    // It may run as another user.
    chmodSync(join(folder, name), 0o777)
  }
  const asRoot = process.getuid?.() === 0 ? ['User www-data', 'Group www-data'] : []
  const modules = ['mpm_event', 'authz_core', 'dav', 'dav_fs'].map(
    (name) => `LoadModule ${name}_module ${MODULES}/mod_${name}.so`,
  )
  const lines = [
    `ServerRoot ${folder}`,
    `DefaultRuntimeDir ${folder}/run`,
    `PidFile ${folder}/run/pid`,
    'ServerName 127.0.0.1',
    ...modules,
    ...asRoot,
    `DavLockDB ${folder}/run/lock`,
    `ErrorLog ${folder}/run/error.log`,
    `DocumentRoot ${folder}/root`,
    `<Directory ${folder}/root>`,
    'Dav On',
    'Require all granted',
    '</Directory>',
  ]
  writeFileSync(join(folder, 'httpd.conf'), `${lines.join('\n')}\n`)
}
