export { type ChaosStore, chaosStore, type Trouble } from './chaos-store.js';
export { createFakeClock, type FakeClock } from './fake-clock.js';
export {
  type ModelServer,
  type ModelServerFailure,
  type ModelServerOptions,
  type ModelServerRequest,
  startModelServer,
} from './model-server.js';
export { type StoreContractCase, storeContract } from './store-contract.js';
