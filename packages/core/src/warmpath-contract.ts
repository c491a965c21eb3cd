import type { BatchedEmbedder, BatchedEmbedderOptions } from './batched-embedder.js';
import type { Batcher, BatcherOptions, BatchFunction } from './batcher/index.js';
import type { Cache, CacheOptions } from './cache/index.js';
import type { ChatOptions } from './chat-options.js';
import type { Chat } from './create-chat.js';
import type { WarmpathEvent } from './events.js';
import type { Executor, ExecutorOptions, PipelineOptions, PipelineStart } from './executor/index.js';
import type { HttpPool, HttpPoolOptions, HttpPoolStats } from './http/index.js';
import type { Clock, Duration, Random } from './kernel/index.js';
import type { Limiter, LimiterOptions, LimiterStatus } from './limiter/index.js';
import type { Embedder } from './models/index.js';
import type {
  AttemptBudgetOptions,
  BreakerOptions,
  BreakerPolicy,
  BreakerStats,
  BudgetStats,
  BulkheadOptions,
  BulkheadPolicy,
  BulkheadStats,
  CountedBudget,
  Fallback,
  FallbackOptions,
  Hedge,
  HedgeOptions,
  Policy,
  RetryOptions,
} from './retry/index.js';
import type { BreakerCounts, LimiterStats, PerformanceSnapshot, ServiceCounts } from './telemetry/index.js';

/** What the runtime gives to every part itself. */
export type Given = 'name' | 'clock' | 'random' | 'onEvent';

export type LimiterDefaults = Pick<LimiterOptions, 'store' | 'storeTimeout' | 'onStoreError' | 'prefetch'>;

export interface WarmpathOptions {
  /** Defaults of every cache. */
  readonly cache?: Omit<CacheOptions, Given>;
  /** Defaults of every limiter, those of the models included: where they count together with other processes. */
  readonly limiter?: LimiterDefaults;
  /** The models that answer, and how. Without it `chat` is refused at its first use. */
  readonly chat?: ChatOptions;
  /**
   * What is tried again is drawn from it: retries, hedges, fallbacks, splits of a batch. Options of one of its own, or a budget that it shares
   * with others. Default: the one of the process.
   */
  readonly budget?: Omit<AttemptBudgetOptions, 'clock'> | CountedBudget;
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
