export { createCache } from './cache.js';
export type { CodecOptions } from './codec/codec.js';
export type { EncryptionOptions } from './codec/encryption.js';
export type {
  Cache,
  CacheCall,
  CachedStream,
  CacheLevel,
  CacheResult,
  Chunks,
  CollectCall,
  Computation,
  Invalidated,
  ReadCall,
  Staleness,
  StreamCall,
  StreamComputation,
  TenantCall,
  WrapOptions,
  Wrapped,
  WriteCall,
} from './contract.js';
export type { CacheEvent, UnstoredReason } from './events.js';
export type { Isolation } from './isolation/isolation.js';
export { type CacheOptions, cacheRules } from './options.js';
export type { StandardSchema } from './schema.js';
export type {
  CacheStore,
  Fence,
  Invalidation,
  StoreAnswer,
  StoredEntry,
  StoreFeed,
  StoreInvalidation,
  StoreLeaseHold,
  StoreLeaseRequest,
  StoreLeases,
  StoreLeasing,
  StoreRead,
  StoreStreamAppend,
  StoreStreaming,
  StoreStreamPieces,
  StoreStreamPlace,
  StoreStreamRead,
  StoreStreamState,
  StoreWrite,
  StreamPiece,
} from './store.js';
export { type KeyvLike, type KeyvStoreOptions, keyvStore } from './stores/keyv.js';
export type { SpillFile, StreamSpill } from './streams/spill.js';
