// Lives through the scenario once, while the shim records what is written and what was promised. Arguments: a folder that
// is there, the trees to import, and where the record goes.
import { live } from './scenario.mjs'
import { promise, record, setRoot } from './shim.mjs'

const [folder, trees, log] = process.argv.slice(2)
setRoot(folder)
record(log)
await live(folder, trees, promise)
