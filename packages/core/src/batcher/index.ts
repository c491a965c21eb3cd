export {
  type Batcher,
  type BatcherEvent,
  type BatcherOptions,
  type BatchFunction,
  batcherRules,
  createBatcher,
} from './batcher.js';
