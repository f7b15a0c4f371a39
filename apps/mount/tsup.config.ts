import { defineConfig } from 'tsup'
import { base } from '../../tsup.base.js'

export default defineConfig({ ...base, dts: false, entry: { 'neve-mount': 'src/neve-mount.ts' } })
