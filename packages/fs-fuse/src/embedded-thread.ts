import { serveEmbedded } from './serve-embedded.js'

/** The thread that serves a directory of an embedded store. */
serveEmbedded()
