import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { onTestFinished } from 'vitest'

/** A socket for datagrams as a service manager has it: what comes is printed, one message a line. */
const RECEIVER = `
import socket, sys
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind(sys.argv[1].replace('@', chr(0), 1))
print('bound', flush=True)
while True: print(receiver.recv(4096).decode(), flush=True)
`

/** Somebody who is told at a socket; `heard` settles once it was told exactly these lines. */
export async function notifySocket(address: string) {
  const child = spawn('python3', ['-c', RECEIVER, address], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let text = ''
  child.stdout.on('data', (piece) => (text += piece))
  const heard = async (lines: string): Promise<void> => {
    while (text !== `bound\n${lines}`) await once(child.stdout, 'data')
  }
  await heard('')
  return { heard }
}
