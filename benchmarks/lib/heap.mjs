// The heap of this process grows as that of the `neve` command does: see packages/cli/src/heap-growth.ts.
import { setFlagsFromString } from 'node:v8'

setFlagsFromString('--heap-growing-percent=300')
