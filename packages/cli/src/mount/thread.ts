import { serveEmbedded } from '@neve/fs-fuse/serve-embedded'
import { rootNodes } from '@neve/store-pathinfo/embedded-roots'

/** The thread that serves a mount of an embedded store, with all of its store paths in the root. */
serveEmbedded(rootNodes)
