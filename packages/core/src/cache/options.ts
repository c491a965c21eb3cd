import {
  ambientRules,
  type ByteSize,
  byteSizeOf,
  type Clock,
  checkOptions,
  type Duration,
  durationMs,
  type Random,
  type Rules,
  rule,
  safeListener,
  systemClock,
  systemRandom,
} from '../kernel/index.js';
import { type Codec, type CodecOptions, codecRules, createCodec } from './codec/codec.js';
import type { CacheEvent } from './events.js';
import type { Isolation } from './isolation/isolation.js';
import type { StandardSchema } from './schema.js';
import type { CacheStore } from './store.js';
import type { StreamSpill } from './streams/spill.js';

export interface CacheOptions extends CodecOptions {
  /** Names the cache in keys, events and metrics; two caches of one name on one store share their entries. */
  readonly name: string;
  /** How long a value is fresh. Default 5 minutes. */
  readonly ttl?: Duration;
  /** The same for null and undefined: what was not there may come soon. Default: `ttl`. */
  readonly negativeTtl?: Duration;
  /** Cuts each ttl by a random part of up to this fraction, so that what was kept together does not end together. Default 0. */
  readonly jitter?: number;
  /** For this long past its ttl a value is served at once while it is computed anew in the background. Default 0. */
  readonly staleWhileRevalidate?: Duration;
  /**
   * For this long past its ttl a value stands in when computing a new one fails. After a failure it is served at once for
   * a second before the next try, then for two, up to a minute. Default 0.
   */
  readonly grace?: Duration;
  /**
   * Refreshes a value that is asked for shortly before its end, in the background and by chance (XFetch): the slower it is to
   * compute, the earlier. `true`, or beta: above 1 is earlier, below 1 later. Default false.
   */
  readonly earlyRefresh?: boolean | number;
  /** Past this a value that is kept beyond its ttl is served; the computation goes on and is kept. Default: never. */
  readonly softTimeout?: Duration;
  /** Past this the computation is aborted and its callers see `WP_DEADLINE`, or the value that stands in. Default: never. */
  readonly hardTimeout?: Duration;
  /** Asked before each refresh in the background; false leaves it for a later read: only spare capacity is used. */
  readonly canRefresh?: () => boolean;
  /** The most entries kept in memory. Default 100,000. */
  readonly maxEntries?: number;
  /** The most bytes kept in memory, as estimated of keys, values and what it takes to keep them. Default 100 MB. */
  readonly maxBytes?: ByteSize;
  /** The most of it that one tenant may take; a tenant within its share loses nothing to another. Default: no limit. */
  readonly maxBytesPerTenant?: ByteSize;
  /**
   * Who leaves when memory is full. `'s3-fifo'` (default): what was used once leaves first, and what was cheap to compute for
   * its size; a scan pushes nothing out. `'lru'`: what was unused for longest.
   */
  readonly eviction?: 's3-fifo' | 'lru';
  /**
   * How values are kept apart. `'frozen'` (default): everybody gets the same deeply frozen value, which costs nothing; what
   * cannot be frozen (a Map, a Date, bytes) is copied for each. `'copy'`: each gets a copy of its own. `'shared'`:
   * everybody gets the value itself, class instances included, and what one changes all see.
   */
  readonly isolation?: Isolation;
  /**
   * What one stream under way may take in memory, as estimated; where that is not enough the newest chunk is kept all the
   * same. What is too much goes to `spill`. Without one it is forgotten when no reader needs it: nobody can join such a stream
   * any more, it is not kept, and a reader so far behind fails (`WP_OVERLOADED`). Default: a tenth of `maxBytes`.
   */
  readonly maxStreamBytes?: ByteSize;
  /**
   * Where streams under way go that outgrow memory, such as `sqliteSpill()`. One that is larger than what memory takes as
   * one entry (a tenth of `maxBytes`), and than `maxStreamBytes`, is not kept in the end. Default: none.
   */
  readonly spill?: StreamSpill;
  /** A second tier, asked when memory does not know. */
  readonly store?: CacheStore;
  /** How long the store may take; past it a read is a miss. Default 50 ms. */
  readonly storeTimeout?: Duration;
  /**
   * For how long memory is trusted while it cannot be known what other processes invalidate, such as when the store is away.
   * Past it, until that is known again, a value is served from memory for this long after its computation began. What others
   * invalidate is heard of within about a second while all is well, so that less than two seconds costs hits. Default 5 minutes.
   */
  readonly staleWindow?: Duration;
  /** What the store holds is served only if it fits: a Standard Schema, as Zod, Valibot and ArkType make them. */
  readonly schema?: StandardSchema;
  /**
   * Who shares an entry. `'caller'` (default): a call with a tenant shares with that tenant only, calls without one
   * with each other. `'tenant'`: the same, and a call without a tenant is refused. `'shared'`: everybody.
   */
  readonly scope?: 'caller' | 'tenant' | 'shared';
  /** Reports each read, write and deletion of a key as a `cache.audit` event: who, which tenant, which key, how it ended. Default false. */
  readonly audit?: boolean;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly onEvent?: (event: CacheEvent) => void;
}

const storeRule = rule.withMethods(
  'a store with a name, such as keyvStore(...) or sqliteStore(...)',
  'getMany',
  'setMany',
  'invalidate',
);

/** A bare Keyv has some of the methods too, but keeps no entries of ours. */
function isStore(value: unknown): boolean {
  return storeRule.allows(value) && rule.text.allows((value as CacheStore).name);
}

function isSchema(value: unknown): boolean {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false;
  const standard: unknown = (value as Partial<StandardSchema>)['~standard'];
  return typeof (standard as Partial<StandardSchema['~standard']> | undefined)?.validate === 'function';
}

export const cacheRules: Rules<CacheOptions> = {
  name: rule.required(rule.text),
  ttl: rule.positiveDuration,
  negativeTtl: rule.duration,
  jitter: rule.number(0, 1),
  staleWhileRevalidate: rule.duration,
  grace: rule.duration,
  earlyRefresh: rule.either(rule.boolean, rule.positive),
  softTimeout: rule.positiveDuration,
  hardTimeout: rule.positiveDuration,
  canRefresh: rule.function,
  maxEntries: rule.integer(1),
  maxBytes: rule.byteSize,
  maxBytesPerTenant: rule.byteSize,
  eviction: rule.oneOf('s3-fifo', 'lru'),
  isolation: rule.oneOf('frozen', 'copy', 'shared'),
  maxStreamBytes: rule.byteSize,
  spill: rule.withMethods('a spill such as sqliteSpill()', 'open'),
  store: { text: storeRule.text, allows: isStore },
  storeTimeout: rule.positiveDuration,
  staleWindow: rule.duration,
  schema: { text: 'a Standard Schema, such as Zod, Valibot and ArkType make', allows: isSchema },
  ...codecRules,
  scope: rule.oneOf('caller', 'tenant', 'shared'),
  audit: rule.boolean,
  clock: ambientRules.clock,
  random: ambientRules.random,
  onEvent: ambientRules.onEvent,
};

/** Every option with its value, in the units that the code uses. */
export interface ResolvedCacheOptions {
  readonly name: string;
  readonly ttlMs: number;
  readonly negativeTtlMs: number;
  readonly jitter: number;
  readonly staleWhileRevalidateMs: number;
  readonly graceMs: number;
  /** 0: never early. */
  readonly earlyRefresh: number;
  readonly softTimeoutMs: number | undefined;
  readonly hardTimeoutMs: number | undefined;
  readonly canRefresh: () => boolean;
  readonly maxEntries: number;
  readonly maxBytes: number;
  readonly maxBytesPerTenant: number | undefined;
  readonly eviction: 's3-fifo' | 'lru';
  readonly isolation: Isolation;
  readonly maxStreamBytes: number;
  /** The largest stream that is kept. */
  readonly maxKeptStreamBytes: number;
  readonly spill: StreamSpill | undefined;
  readonly store: CacheStore | undefined;
  readonly storeTimeoutMs: number;
  readonly staleWindowMs: number;
  readonly schema: StandardSchema | undefined;
  readonly codec: Codec;
  readonly scope: 'caller' | 'tenant' | 'shared';
  readonly audit: boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly onEvent: ((event: CacheEvent) => void) | undefined;
}

export function resolveOptions(options: CacheOptions): ResolvedCacheOptions {
  checkOptions('createCache()', options, cacheRules);
  const { name, ttl = '5m', negativeTtl = ttl, jitter = 0, staleWhileRevalidate = 0, grace = 0 } = options;
  const { earlyRefresh = false, softTimeout, hardTimeout, canRefresh = () => true } = options;
  const { maxEntries = 100_000, maxBytes = '100MB', maxBytesPerTenant, eviction = 's3-fifo' } = options;
  const bytes = byteSizeOf(maxBytes);
  const { maxStreamBytes = Math.ceil(bytes / 10), spill } = options;
  const {
    isolation = 'frozen',
    store,
    storeTimeout = '50ms',
    staleWindow = '5m',
    schema,
    compression,
    encryption,
  } = options;
  const { scope = 'caller', audit = false, clock = systemClock, random = systemRandom, onEvent } = options;
  return {
    name,
    ttlMs: durationMs(ttl),
    negativeTtlMs: durationMs(negativeTtl),
    jitter,
    staleWhileRevalidateMs: durationMs(staleWhileRevalidate),
    graceMs: durationMs(grace),
    earlyRefresh: Number(earlyRefresh),
    softTimeoutMs: softTimeout === undefined ? undefined : durationMs(softTimeout),
    hardTimeoutMs: hardTimeout === undefined ? undefined : durationMs(hardTimeout),
    canRefresh,
    maxEntries,
    maxBytes: bytes,
    maxBytesPerTenant: maxBytesPerTenant === undefined ? undefined : byteSizeOf(maxBytesPerTenant),
    eviction,
    maxStreamBytes: byteSizeOf(maxStreamBytes),
    maxKeptStreamBytes: Math.max(byteSizeOf(maxStreamBytes), bytes / 10),
    spill,
    isolation,
    store,
    storeTimeoutMs: durationMs(storeTimeout),
    staleWindowMs: durationMs(staleWindow),
    schema,
    codec: createCodec({ compression, encryption }),
    scope,
    audit,
    clock,
    random,
    onEvent: safeListener(onEvent),
  };
}
