export { type MemoryLimits, type MemoryLimitsOptions, memoryLimits } from '../limiter/index.js';
export { type ChaosStore, chaosStore, type StoreOperation, type Trouble } from './chaos-store.js';
export { createFakeClock, type FakeClock } from './fake-clock.js';
export {
  type LimiterStoreContractOptions,
  type LimiterStorePair,
  limiterStoreContract,
} from './limiter-store-contract.js';
export { type MemoryStore, memoryStore } from './memory-store.js';
export {
  type ModelServer,
  type ModelServerFailure,
  type ModelServerOptions,
  type ModelServerRequest,
  startModelServer,
} from './model-server.js';
export {
  type StoreContractCase,
  type StoreContractOptions,
  type StorePair,
  storeContract,
} from './store-contract.js';
