// A mount whose one file is answered from memory, by the loop that every mount has: no filesystem over it can be quicker.
import { B3Digest } from '@neve/castore-model'
import {
  CastoreFilesystem,
  DeviceTransport,
  FuseSession,
  MapRootNodes,
  mountDevice,
} from '../../packages/fs-fuse/dist/index.js'

const [mountpoint = '', size = '0'] = process.argv.slice(2)
const memory = Buffer.alloc(1 << 20, 'x')
const digest = B3Digest.from(new Uint8Array(32).fill(1))
const filesystem = new CastoreFilesystem({
  roots: new MapRootNodes([['file', { kind: 'file', digest, size: BigInt(size), executable: false }]]),
  content: {
    directory: () => undefined,
    open: () => ({
      readAt: (offset, length) => [memory.subarray(0, Math.max(0, Math.min(length, Number(size) - offset)))],
      close: () => {},
    }),
  },
})
const { descriptor } = await mountDevice(mountpoint)
await new FuseSession(filesystem, new DeviceTransport(descriptor, { blocking: true })).run()
