import type { AttemptCounts, BreakerCounts, ServiceCounts } from './resilience-counts.js';

export interface CacheStats {
  hits: { memory: number; store: number; shared: number };
  /** Hits past their ttl, of those above. */
  staleHits: number;
  misses: number;
  failures: number;
  /** Values computed anew in the background. */
  refreshes: number;
  /** Entries that memory has let go to stay within its limits. */
  evictions: number;
  /** Entries of the store that were not served: damaged, foreign, of another version, or not of the schema. */
  rejected: number;
  storeFailures: number;
  /** Hits of all kinds over all lookups; null before the first. */
  hitRate: number | null;
  /** What the hits would have cost again, in milliseconds of computing. */
  savedMs: number;
}

export interface LimiterStats {
  allowed: number;
  refused: number;
  /** How many of these were decided by whom: `local` and `none` are those of an outage of the store. */
  decidedBy: Record<string, number>;
  /** Milliseconds that callers have waited for their turn, in all. */
  waitedMs: number;
  /** Calls to the store that failed. */
  storeFailures: number;
}

export interface BatcherCounts {
  /** Calls, those of splits and repeats included. */
  batches: number;
  /** Items in them. */
  items: number;
  failures: number;
  /** Calls that it took to find out which item was bad, or how many go into one. */
  splits: number;
  /** Calls for what had failed for a moment. */
  repeats: number;
  /** How full the calls were on average, from 0 to 1, of the limit that each of them was closest to; null before the first. */
  efficiency: number | null;
}

export interface ExecutorCounts {
  done: number;
  /** Those that threw, and those whose time was up, whether they had begun or not. */
  failed: number;
  aborted: number;
  refused: number;
  /** Milliseconds that tasks have waited for their places, and have run, in all. */
  waitedMs: number;
  ranMs: number;
}

export interface PipelineCounts {
  runs: number;
  /** Runs that did not come to their end, whyever. */
  failures: number;
  totalMs: Quantiles | null;
}

export interface Quantiles {
  readonly count: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

export interface ModelStats {
  calls: number;
  failures: number;
  aborted: number;
  outputTokens: number;
  /** Milliseconds; null before the first answer. */
  firstChunkMs: Quantiles | null;
  totalMs: Quantiles | null;
}

/** What a runtime has done since it was made. All times are milliseconds. */
export interface PerformanceSnapshot {
  readonly uptimeMs: number;
  readonly caches: Readonly<Record<string, CacheStats>>;
  readonly limiters: Readonly<Record<string, LimiterStats>>;
  readonly batchers: Readonly<Record<string, BatcherCounts>>;
  readonly executors: Readonly<Record<string, ExecutorCounts>>;
  readonly pipelines: Readonly<Record<string, PipelineCounts>>;
  readonly attempts: Readonly<Record<string, AttemptCounts>>;
  readonly fallbacks: Readonly<Record<string, { used: number }>>;
  readonly breakers: Readonly<Record<string, BreakerCounts>>;
  readonly services: Readonly<Record<string, ServiceCounts>>;
  readonly models: Readonly<Record<string, ModelStats>>;
}

/** Of a limiter that has decided nothing yet. */
export function noLimiterStats(): LimiterStats {
  return { allowed: 0, refused: 0, decidedBy: {}, waitedMs: 0, storeFailures: 0 };
}
