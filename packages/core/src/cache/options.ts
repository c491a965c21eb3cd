import {
  ambientRules,
  type Clock,
  checkOptions,
  type Duration,
  durationMs,
  type Rules,
  rule,
  safeListener,
  systemClock,
} from '../kernel/index.js';
import type { CacheEvent } from './events.js';
import type { CacheStore } from './store.js';

export interface CacheOptions {
  /** Names the cache in keys, events and metrics; two caches of one name on one store share their entries. */
  readonly name: string;
  /** How long a value is served. Default 5 minutes. */
  readonly ttl?: Duration;
  /** The most entries kept in memory; the one unused for longest leaves first. Default 10,000. */
  readonly maxEntries?: number;
  /** A second tier, asked when memory does not know. */
  readonly store?: CacheStore;
  /** How long the store may take; past it a read is a miss. Default 50 ms. */
  readonly storeTimeout?: Duration;
  /**
   * Who shares an entry. `'caller'` (default): a call with a tenant shares with that tenant only, calls without one
   * with each other. `'tenant'`: the same, and a call without a tenant is refused. `'shared'`: everybody.
   */
  readonly scope?: 'caller' | 'tenant' | 'shared';
  readonly clock?: Clock;
  readonly onEvent?: (event: CacheEvent) => void;
}

const storeRule = rule.withMethods('a store with a name, such as keyvStore(...)', 'get', 'set', 'delete');

/** A Map or a bare Keyv has the methods too, but keeps no entries of ours. */
function isStore(value: unknown): boolean {
  return storeRule.allows(value) && rule.text.allows((value as CacheStore).name);
}

export const cacheRules: Rules<CacheOptions> = {
  name: rule.required(rule.text),
  ttl: rule.positiveDuration,
  maxEntries: rule.integer(1),
  store: { text: storeRule.text, allows: isStore },
  storeTimeout: rule.positiveDuration,
  scope: rule.oneOf('caller', 'tenant', 'shared'),
  clock: ambientRules.clock,
  onEvent: ambientRules.onEvent,
};

/** Every option with its value, in the units that the code uses. */
export interface ResolvedCacheOptions {
  readonly name: string;
  readonly ttlMs: number;
  readonly maxEntries: number;
  readonly store: CacheStore | undefined;
  readonly storeTimeoutMs: number;
  readonly scope: 'caller' | 'tenant' | 'shared';
  readonly clock: Clock;
  readonly onEvent: ((event: CacheEvent) => void) | undefined;
}

export function resolveOptions(options: CacheOptions): ResolvedCacheOptions {
  checkOptions('createCache()', options, cacheRules);
  const { name, ttl = '5m', maxEntries = 10_000, store, storeTimeout = '50ms' } = options;
  const { scope = 'caller', clock = systemClock, onEvent } = options;
  return {
    name,
    ttlMs: durationMs(ttl),
    maxEntries,
    store,
    storeTimeoutMs: durationMs(storeTimeout),
    scope,
    clock,
    onEvent: safeListener(onEvent),
  };
}
