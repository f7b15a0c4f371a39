#!/usr/bin/env node
import { main } from './start.js'
import { version } from './version.js'

// Everything else is loaded only when it is needed: this answer comes about as fast as Node starts.
if (process.argv[2] === '--version' || process.argv[2] === '-V') {
  process.stdout.write(`neve ${version}\n`)
} else {
  await main()
}
