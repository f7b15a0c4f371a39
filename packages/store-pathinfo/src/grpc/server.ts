export {
  addPathInfoService,
  type PathInfoServiceImplementationOptions,
  pathInfoServiceImplementation,
} from './server/path-info-service.js'
