// Serves a store until it is killed, and says where. Run by killed.test.ts.
import { narBridge } from '@neve/nar-bridge'
import { serve } from '@neve/nar-bridge/server'
import { openLocalStore } from '@neve/store-pathinfo'

const [folder] = process.argv.slice(2)
const store = await openLocalStore(folder)
const { url } = await serve(narBridge(store), { listen: '127.0.0.1:0' })
process.stdout.write(`${url}\n`)
