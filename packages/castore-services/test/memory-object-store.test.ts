import { objectStoreContract } from '@neve/castore-services/contract'
import { MemoryObjectStore } from '@neve/castore-services/object-store'

objectStoreContract('memory', { create: () => new MemoryObjectStore() })
