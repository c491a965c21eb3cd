export { createBatcher } from './batcher.js';
export { classifyFailure } from './classify.js';
export type {
  BatchCall,
  Batcher,
  BatcherOptions,
  BatcherStats,
  BatchFunction,
  BatchResults,
  FailureKind,
  LoadCall,
  StatedCap,
} from './contract.js';
export type { BatcherEvent, BatchTrigger } from './events.js';
export { batcherRules } from './options.js';
