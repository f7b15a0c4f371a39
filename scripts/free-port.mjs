import { once } from 'node:events'
import { createServer } from 'node:net'

// Below those that the kernel hands out to whoever asks for any port, and to every connection that is made: one of these
// might be taken again before the program that it is for listens on it.
const LOWEST = 10_000
const HIGHEST = 32_767

/**
 * A port for a program that cannot choose one itself.
 *
 * @param {string} host the address to listen on
 * @returns {Promise<number>} one that nobody listened on a moment ago
 */
export async function freePort(host = '127.0.0.1') {
  for (let tries = 1; ; tries++) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST + 1 - LOWEST))
    const server = createServer()
    try {
      await once(server.listen(port, host), 'listening')
      await once(server.close(), 'close')
      return port
    } catch (error) {
      if (tries === 100) throw error
    }
  }
}
