import type { CacheLevel, Staleness } from './contract.js';

/** What every event about one entry says. The key itself is never in an event. */
interface OfEntry {
  readonly cache: string;
  readonly tenant: string | undefined;
  /**
   * The digest of tenant and key, as stores see it. Of a hit it is a getter, computed when it is read: `{ ...event }` leaves it
   * out, JSON does not.
   */
  readonly key: string;
}

interface OfStore {
  readonly cache: string;
  readonly store: string;
}

export type UnstoredReason =
  /** Its key, one of its tags or the whole cache was invalidated while it was computed. */
  | 'invalidated'
  /** Nobody waited for it any more. */
  | 'abandoned'
  /** A stream that did not end as it should. */
  | 'incomplete'
  | 'not-cloneable'
  /** The computation said so, or its ttl is 0. */
  | 'not-wanted'
  /** Memory has no room for it, and there is no store. */
  | 'too-large';

/** Everything a cache decides. */
export type CacheEvent =
  | (OfEntry & {
      readonly type: 'cache.hit';
      readonly level: Exclude<CacheLevel, 'computed'>;
      readonly ageMs: number;
      /** What computing the value took at the time; 0 where the caller joined a computation under way. */
      readonly savedMs: number;
      readonly stale: false | Staleness;
    })
  /** Somebody waits for a computation; one in the background is none. */
  | (OfEntry & { readonly type: 'cache.miss' })
  /**
   * `background`: nobody has to wait for it, be it a refresh, or a computation whose callers were given a stale value.
   * `notModified`: the previous value was right.
   */
  | (OfEntry & {
      readonly type: 'cache.computed';
      readonly ms: number;
      readonly background: boolean;
      readonly notModified: boolean;
    })
  | (OfEntry & {
      readonly type: 'cache.failed';
      readonly ms: number;
      readonly background: boolean;
      readonly error: unknown;
    })
  /** A refresh in the background was due and not begun, since `canRefresh` said no. */
  | (OfEntry & { readonly type: 'cache.refresh-skipped' })
  /** A value was handed out but not kept, with the reason. */
  | (OfEntry & { readonly type: 'cache.unstored'; readonly reason: UnstoredReason })
  /** Memory has let an entry go to stay within a limit. */
  | (OfEntry & {
      readonly type: 'cache.evicted';
      readonly reason: 'entries' | 'bytes' | 'tenant' | 'too-large';
      readonly bytes: number;
    })
  /** What the store has under the key is not served, and counts as a miss. */
  | (OfEntry & {
      readonly type: 'cache.rejected';
      readonly reason: 'unreadable' | 'foreign' | 'version' | 'corrupt' | 'key' | 'schema';
    })
  /**
   * `count`: of keys or tags. `foreign`: it was done by another process and heard of through the store, where a key counts
   * twice, once for its stream. A `gap`: what others did cannot be told.
   */
  | {
      readonly type: 'cache.invalidated';
      readonly cache: string;
      readonly by: 'delete' | 'expire' | 'tags' | 'clear' | 'gap';
      readonly count: number;
      readonly foreign: boolean;
      readonly deferred: boolean;
    }
  | (OfStore & {
      readonly type: 'cache.store-failed';
      readonly operation: 'getMany' | 'acquire' | 'setMany' | 'invalidate' | 'append' | 'follow' | 'poll';
      readonly error: unknown;
    })
  /** The breaker of the store: `open` leaves it alone, `half-open` lets one call try. */
  | (OfStore & {
      readonly type: 'cache.store-state';
      readonly access: 'reading' | 'writing';
      readonly state: 'closed' | 'open' | 'half-open';
    })
  /** For caches with `audit`: one for each read, write and deletion of a key, never with a value. */
  | (OfEntry & {
      readonly type: 'cache.audit';
      readonly operation: 'read' | 'write' | 'invalidate';
      /** A read: the level that answered, or `none`, or `failed`. A write: `kept` or `refused`. An invalidation: `done` or `deferred`. */
      readonly outcome: CacheLevel | 'none' | 'failed' | 'kept' | 'refused' | 'done' | 'deferred';
      /** The attributes of the CallContext: whoever sets them says who is asking. */
      readonly who: Readonly<Record<string, string | number | boolean>>;
    });
