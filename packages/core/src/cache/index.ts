export { createCache } from './cache.js';
export type {
  Cache,
  CacheCall,
  CachedStream,
  CacheLevel,
  CacheResult,
  Computation,
  StreamCall,
} from './contract.js';
export type { CacheEvent } from './events.js';
export { type CacheOptions, cacheRules } from './options.js';
export type { CacheStore, StoredEntry } from './store.js';
export { type KeyvLike, keyvStore } from './stores/keyv.js';
