export { bulkhead } from './bulkhead.js';
export type { AdaptiveConcurrency, BulkheadOptions, BulkheadPolicy, BulkheadStats } from './contract.js';
export type { BulkheadEvent } from './events.js';
