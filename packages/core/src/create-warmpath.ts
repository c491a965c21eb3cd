import { type BatchedEmbedder, type BatchedEmbedderOptions, batchedEmbedder } from './batched-embedder.js';
import { type Batcher, type BatcherOptions, type BatchFunction, createBatcher } from './batcher/index.js';
import { type Cache, type CacheOptions, cacheRules, createCache } from './cache/index.js';
import { type ChatOptions, checkChat, toBackend } from './chat-options.js';
import { type Chat, createChat } from './create-chat.js';
import type { WarmpathEvent } from './events.js';
import {
  createExecutor,
  type Executor,
  type ExecutorOptions,
  type PipelineOptions,
  type PipelineStart,
  pipeline,
} from './executor/index.js';
import type { HttpPool, HttpPoolOptions, HttpPoolStats } from './http/index.js';
import {
  ambientRules,
  badOption,
  type Clock,
  checkOptions,
  type Duration,
  type Random,
  type Rules,
  rule,
  safeListener,
  systemClock,
  systemRandom,
} from './kernel/index.js';
import { createLimiter, type Limiter, type LimiterOptions, type LimiterStatus, limiterRules } from './limiter/index.js';
import type { Embedder } from './models/index.js';
import { Registry } from './registry.js';
import {
  type AttemptBudgetOptions,
  type BreakerOptions,
  type BreakerPolicy,
  type BreakerStats,
  type BudgetStats,
  type BulkheadOptions,
  type BulkheadPolicy,
  type BulkheadStats,
  breaker,
  bulkhead,
  createAttemptBudget,
  type Fallback,
  type FallbackOptions,
  fallback,
  type Hedge,
  type HedgeOptions,
  hedge,
  type Policy,
  type RetryOptions,
  retry,
  sharedBudget,
  timeout,
} from './retry/index.js';
import {
  type BreakerCounts,
  createPerformanceRecorder,
  type LimiterStats,
  noLimiterStats,
  noServiceCounts,
  type ObservedEvent,
  type PerformanceSnapshot,
  type ServiceCounts,
} from './telemetry/index.js';

/** What the runtime gives to every part itself. */
type Given = 'name' | 'clock' | 'random' | 'onEvent';

/** How long a model is waited for that has no room, before another one is asked. */
const modelPatience = '10s';

type LimiterDefaults = Pick<LimiterOptions, 'store' | 'storeTimeout' | 'onStoreError' | 'prefetch'>;

export interface WarmpathOptions {
  /** Defaults of every cache. */
  readonly cache?: Omit<CacheOptions, Given>;
  /** Defaults of every limiter, those of the models included: where they count together with other processes. */
  readonly limiter?: LimiterDefaults;
  /** The models that answer, and how. Without it `chat` is refused at its first use. */
  readonly chat?: ChatOptions;
  /** What is tried again is drawn from it: retries, hedges, fallbacks, splits of a batch. Default: one for the process. */
  readonly budget?: Omit<AttemptBudgetOptions, 'clock'>;
  readonly clock?: Clock;
  readonly random?: Random;
  /** Hears everything that the parts report. What it throws is said once and passed over. */
  readonly onEvent?: (event: WarmpathEvent) => void;
}

/** What the parts have counted, and how the limiters stand. */
export interface RuntimeSnapshot extends PerformanceSnapshot {
  /** Of one that is not the runtime's own, but reports to it, the counts alone. */
  readonly limiters: Readonly<Record<string, LimiterStats & Partial<LimiterStatus>>>;
  /** Of one that is not the runtime's own, the counts alone. */
  readonly breakers: Readonly<Record<string, BreakerCounts & Partial<BreakerStats>>>;
  readonly bulkheads: Readonly<Record<string, BulkheadStats>>;
  readonly services: Readonly<Record<string, ServiceCounts & Partial<HttpPoolStats>>>;
  /** How the budget of further attempts stands. */
  readonly budget: BudgetStats;
}

/**
 * One runtime: its parts share a clock, a listener and a snapshot. Caches, limiters, batchers, embedders and executors are made
 * once for each name; asking again with the name gives the same one (of a batcher or embedder, with the same function or embedder).
 */
export interface Warmpath {
  readonly clock: Clock;
  readonly random: Random;
  /** @throws WarmpathError `WP_BAD_OPTION`, also for options given a second time, or another function to batch with */
  cache(name: string, options?: Omit<CacheOptions, Given>): Cache;
  limiter(name: string, options?: Omit<LimiterOptions, Given>): Limiter;
  batcher<Item, Result, Key = unknown>(
    name: string,
    run: BatchFunction<Item, Result, Key>,
    options?: Omit<BatcherOptions<Item, Key>, Given>,
  ): Batcher<Item, Result>;
  /** An embedder that finds vectors in a cache and packs what is missing into few calls. */
  embedder(name: string, embedder: Embedder, options?: Omit<BatchedEmbedderOptions, Given>): BatchedEmbedder;
  /** Tasks side by side within bounds. */
  executor(name: string, options?: Omit<ExecutorOptions, Given>): Executor;
  /** The beginning of a graph of steps; made anew at each call, since it is nothing but its steps. */
  pipeline<Input = void>(
    name: string,
    options?: Omit<PipelineOptions, Given>,
  ): PipelineStart<Input, Record<never, never>>;
  /** Policies without a state: made anew at each call, so keep what it gives where calls are many. */
  retry(name: string, options?: Omit<RetryOptions, Given>): Policy;
  timeout(name: string, after: Duration): Policy;
  fallback(name: string, options?: Omit<FallbackOptions, Given>): Fallback;
  /** A second backend where the first is late; it learns when that is. */
  hedge(name: string, options?: Omit<HedgeOptions, Given>): Hedge;
  /** One for each backend, which all calls to it share. */
  breaker(name: string, options?: Omit<BreakerOptions, Given>): BreakerPolicy;
  bulkhead(name: string, options?: Omit<BulkheadOptions, Given>): BulkheadPolicy;
  /** A service behind a pool of connections, closed with the runtime. Loads undici at the first use, so it comes as a promise. */
  http(name: string, options?: Omit<HttpPoolOptions, Given>): Promise<HttpPool>;
  /** Questions to the models, through every layer. */
  readonly chat: Chat;
  /** What the runtime has done and saved so far. */
  snapshot(): RuntimeSnapshot;
  /** For adapters: what they report joins the listener and the snapshot. */
  report(event: WarmpathEvent): void;
  /**
   * Sends what is waiting in batchers and lets tasks end, for 5 s at the most each, then waits for writes to stores (one store deadline).
   * Stores that were passed in stay open: whoever made one closes it. Idempotent.
   */
  close(): Promise<void>;
}

const { store, storeTimeout, onStoreError, prefetch } = limiterRules;
const limiterDefaultRules: Rules<LimiterDefaults> = { store, storeTimeout, onStoreError, prefetch };

const rules: Rules<WarmpathOptions> = {
  cache: rule.object,
  limiter: rule.object,
  chat: rule.object,
  budget: rule.object,
  clock: ambientRules.clock,
  random: ambientRules.random,
  onEvent: ambientRules.onEvent,
};

/** @throws WarmpathError `WP_BAD_OPTION` */
export function createWarmpath(options: WarmpathOptions = {}): Warmpath {
  checkOptions('createWarmpath()', options, rules);
  const { clock = systemClock, random = systemRandom, onEvent } = options;
  const recorder = createPerformanceRecorder({ clock });
  const listener = safeListener(onEvent);
  const report = (event: WarmpathEvent): void => {
    // Of the events that are counted, every field has to fit; the others pass by.
    recorder.observe(event as Extract<WarmpathEvent, { type: ObservedEvent['type'] }>);
    listener?.(event);
  };
  const ambient = { clock, onEvent: report };

  const caches = new Registry<Cache>('cache');
  const limiters = new Registry<Limiter>('limiter');
  const batchers = new Registry<Batcher<never, unknown>>('batcher', 'with the same function and no options');
  const embedders = new Registry<BatchedEmbedder>('embedder', 'with the same embedder and no options');
  const executors = new Registry<Executor>('executor');
  const hedges = new Registry<Hedge>('hedge');
  const breakers = new Registry<BreakerPolicy>('breaker');
  const bulkheads = new Registry<BulkheadPolicy>('bulkhead');
  const services = new Registry<Promise<HttpPool>>('http');
  const pools: HttpPool[] = [];
  const budget = options.budget ? createAttemptBudget({ ...options.budget, clock }) : sharedBudget(clock);

  function cache(name: string, own?: Omit<CacheOptions, Given>): Cache {
    return caches.get(name, own, () => createCache({ ...options.cache, ...given(own), ...ambient, random, name }));
  }

  function limiter(name: string, own?: Omit<LimiterOptions, Given>): Limiter {
    return limiters.get(name, own, () =>
      createLimiter({ ...options.limiter, ...given(required('limiter', name, own)), ...ambient, random, name }),
    );
  }

  function modelLimiters(chat: ChatOptions): ReadonlyMap<string, Limiter> {
    const limited = chat.models.map(toBackend).filter(({ limits }) => limits !== undefined);
    return new Map(
      limited.map(({ model: { name }, limits }) => [name, limiter(name, { timeout: modelPatience, ...given(limits) })]),
    );
  }

  async function openPool(own: HttpPoolOptions): Promise<HttpPool> {
    const { createHttpPool } = await import('./http/index.js');
    const pool = createHttpPool(own);
    pools.push(pool);
    return pool;
  }

  function modelBreakers({ models, breaker: own = {} }: ChatOptions): ReadonlyMap<string, BreakerPolicy> {
    if (own === false) return new Map();
    return new Map(
      models
        .map(toBackend)
        .map(({ model: { name } }) => [
          name,
          breakers.get(name, own, () => breaker({ ...given(own), ...ambient, random, name })),
        ]),
    );
  }

  // Bad defaults are refused here, not at the first cache.
  if (options.cache) checkOptions('createWarmpath() cache', { ...options.cache, name: 'defaults' }, cacheRules);
  if (options.limiter) checkOptions('createWarmpath() limiter', options.limiter, limiterDefaultRules);
  if (options.chat) checkChat(options.chat);
  const chatCache = options.chat?.cache === false ? undefined : options.chat && cache('chat', options.chat.cache ?? {});
  const chat =
    options.chat &&
    createChat(options.chat, {
      clock,
      random,
      report,
      cache: chatCache,
      limiters: modelLimiters(options.chat),
      breakers: modelBreakers(options.chat),
      budget,
    });

  return {
    clock,
    random,
    cache,
    limiter,
    batcher<Item, Result, Key = unknown>(
      name: string,
      run: BatchFunction<Item, Result, Key>,
      own?: Omit<BatcherOptions<Item, Key>, Given>,
    ) {
      const make = () => createBatcher(run, { ...own, ...ambient, random, name });
      return batchers.get(name, own, make, run) as Batcher<Item, Result>;
    },
    embedder: (name, model, own) =>
      embedders.get(name, own, () => batchedEmbedder(model, { ...own, ...ambient, random, name }), model),
    executor: (name, own) => executors.get(name, own, () => createExecutor({ ...own, ...ambient, name })),
    pipeline: (name, own) => pipeline(name, { ...own, ...ambient }),
    retry: (name, own) => retry({ budget, ...given(own), ...ambient, random, name }),
    timeout: (name, after) => timeout({ name, after, clock }),
    fallback: (name, own) => fallback({ budget, ...given(own), ...ambient, name }),
    breaker: (name, own) => breakers.get(name, own, () => breaker({ ...given(own), ...ambient, random, name })),
    bulkhead: (name, own) => bulkheads.get(name, own, () => bulkhead({ ...given(own), ...ambient, name })),
    async http(name, own) {
      const opening = services.get(name, own, () => openPool({ ...given(own), ...ambient, name }));
      try {
        return await opening;
      } catch (error) {
        services.forget(name, opening);
        throw error;
      }
    },
    hedge: (name, own) => hedges.get(name, own, () => hedge({ budget, ...given(own), ...ambient, name })),
    get chat() {
      if (chat) return chat;
      throw badOption('createWarmpath()', 'chat', 'given before the runtime can chat: { models: [...] }', undefined);
    },
    snapshot() {
      const counted = recorder.snapshot();
      return {
        ...counted,
        budget: budget.stats(),
        limiters: {
          ...counted.limiters,
          ...ofEach(limiters.all(), (limiter) => ({
            ...noLimiterStats(),
            ...counted.limiters[limiter.name],
            ...limiter.status(),
          })),
        },
        breakers: { ...counted.breakers, ...ofEach(breakers.all(), (each) => each.stats()) },
        bulkheads: ofEach(bulkheads.all(), (each) => each.stats()),
        services: {
          ...counted.services,
          ...ofEach(pools, (pool) => ({ ...noServiceCounts(), ...counted.services[pool.name], ...pool.stats() })),
        },
      };
    },
    report,
    async close() {
      await Promise.all(executors.all().map((executor) => executor.close()));
      await Promise.all([...batchers.all(), ...embedders.all()].map((batcher) => batcher.close())); // a last task may have asked
      await Promise.all(caches.all().map((cache) => cache.close())); // a last batch may have written
      await Promise.all(limiters.all().map((limiter) => limiter.close()));
      // A pool whose options were bad was never made, and whoever asked for it was told.
      await Promise.allSettled(services.all());
      await Promise.all(pools.map((pool) => pool.close()));
    },
  };
}

/** Options without those that are undefined: they mean the default, which here is the runtime's. */
function given<Options extends object>(options: Options | undefined): Partial<Options> {
  const entries = Object.entries(options ?? {}).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Partial<Options>;
}

function ofEach<Part extends { readonly name: string }, T>(
  parts: readonly Part[],
  stateOf: (part: Part) => T,
): Record<string, T> {
  return Object.fromEntries(parts.map((part) => [part.name, stateOf(part)]));
}

function required<Options>(kind: string, name: string, options: Options | undefined): Options {
  if (options) return options;
  throw badOption(`warmpath.${kind}('${name}')`, 'options', 'given at the first use of a name', undefined);
}
