import { directoryServiceContract } from '@neve/castore-services/contract'
import { MemoryDirectoryService } from '@neve/castore-services/directory/memory'

directoryServiceContract('memory', {
  create: () => new MemoryDirectoryService(),
  capabilities: { ordersEagerly: true },
})
