import { type BatchedEmbedder, batchedEmbedder } from './batched-embedder.js';
import { type Batcher, type BatcherOptions, type BatchFunction, createBatcher } from './batcher/index.js';
import { type Cache, type CacheOptions, cacheRules, createCache } from './cache/index.js';
import { type ChatOptions, checkChat, toBackend } from './chat-options.js';
import { createChat } from './create-chat.js';
import type { WarmpathEvent } from './events.js';
import { createExecutor, type Executor, pipeline } from './executor/index.js';
import type { HttpPool, HttpPoolOptions } from './http/index.js';
import {
  ambientRules,
  badOption,
  type Clock,
  checkOptions,
  type Rules,
  rule,
  safeListener,
  systemClock,
  systemRandom,
} from './kernel/index.js';
import { createLimiter, type Limiter, type LimiterOptions, limiterRules } from './limiter/index.js';
import { checkNamed, Registry } from './registry.js';
import {
  type BreakerPolicy,
  type BulkheadPolicy,
  breaker,
  bulkhead,
  type CountedBudget,
  createAttemptBudget,
  fallback,
  type Hedge,
  hedge,
  retry,
  sharedBudget,
  timeout,
} from './retry/index.js';
import { createPerformanceRecorder, noLimiterStats, noServiceCounts, type ObservedEvent } from './telemetry/index.js';
import type { Given, LimiterDefaults, Warmpath, WarmpathOptions } from './warmpath-contract.js';

/** How long a model is waited for that has no room, before another one is asked. */
const modelPatience = '10s';

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
  const budget = budgetOf(options.budget, clock);

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
    pipeline: (name, own) => pipeline(name, { ...givenTo('pipeline', name, own), ...ambient }),
    retry: (name, own) => retry({ budget, ...givenTo('retry', name, own), ...ambient, random, name }),
    timeout(name, after) {
      checkNamed('timeout', name, undefined);
      return timeout({ name, after, clock });
    },
    fallback: (name, own) => fallback({ budget, ...givenTo('fallback', name, own), ...ambient, name }),
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

/** To what is made anew at each call, and so has no registry that looks at it. @throws WarmpathError `WP_BAD_OPTION` */
function givenTo<Options extends object>(kind: string, name: string, options: Options | undefined): Partial<Options> {
  checkNamed(kind, name, options);
  return given(options);
}

function budgetOf(own: WarmpathOptions['budget'], clock: Clock): CountedBudget {
  if (own === undefined) return sharedBudget(clock);
  return 'stats' in own ? own : createAttemptBudget({ ...own, clock });
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
