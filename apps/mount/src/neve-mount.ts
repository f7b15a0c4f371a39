#!/usr/bin/env node
import { main } from '@neve/cli'

// As a program of its own it can be what a container or a unit starts; all it does is a command of `neve`.
await main(['mount'])
