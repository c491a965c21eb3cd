import type { CacheLevel } from './contract.js';

/** Everything a cache decides. A key is never in an event; `key` is its digest. */
export type CacheEvent =
  | {
      readonly type: 'cache.hit';
      readonly cache: string;
      readonly key: string;
      readonly level: Exclude<CacheLevel, 'computed'>;
      readonly ageMs: number;
      /** What computing the value took at the time; 0 where the caller joined a computation under way. */
      readonly savedMs: number;
    }
  | { readonly type: 'cache.miss'; readonly cache: string; readonly key: string }
  | { readonly type: 'cache.computed'; readonly cache: string; readonly key: string; readonly ms: number }
  | {
      readonly type: 'cache.failed';
      readonly cache: string;
      readonly key: string;
      readonly ms: number;
      readonly error: unknown;
    }
  | {
      /** A value was handed out but not kept, with the reason; `abandoned`: nobody waited for it any more. */
      readonly type: 'cache.unstored';
      readonly cache: string;
      readonly key: string;
      readonly reason: 'invalidated' | 'abandoned' | 'incomplete' | 'not-cloneable';
    }
  | {
      readonly type: 'cache.store-failed';
      readonly cache: string;
      readonly store: string;
      readonly operation: 'get' | 'set' | 'delete';
      readonly error: unknown;
    };
