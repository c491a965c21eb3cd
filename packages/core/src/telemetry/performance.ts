import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { type Clock, isWarmpathError, systemClock } from '../kernel/index.js';
import type { ObservedEvent } from './observed-event.js';
import { countAttempt, noAttempts, noServiceCounts } from './resilience-counts.js';
import { noLimiterStats, type PerformanceSnapshot, type Quantiles } from './snapshot.js';

export interface PerformanceRecorder {
  observe(event: ObservedEvent): void;
  snapshot(): PerformanceSnapshot;
}

/** Names counted apart in each kind; what comes after is counted together under `overflowName`. */
const mostNames = 1_000;
const overflowName = '__overflow__';

/** Counts events in fixed memory: O(1) for each event, histograms with an error below 1 %. */
export function createPerformanceRecorder({ clock = systemClock }: { clock?: Clock } = {}): PerformanceRecorder {
  const began = clock.now();
  const caches = new Tally(() => ({
    hits: { memory: 0, store: 0, shared: 0 },
    staleHits: 0,
    misses: 0,
    failures: 0,
    refreshes: 0,
    evictions: 0,
    rejected: 0,
    storeFailures: 0,
    savedMs: 0,
  }));
  const limiters = new Tally(noLimiterStats);
  const batchers = new Tally(() => ({ batches: 0, items: 0, failures: 0, splits: 0, repeats: 0, filled: 0 }));
  const executors = new Tally(() => ({ done: 0, failed: 0, aborted: 0, refused: 0, waitedMs: 0, ranMs: 0 }));
  const pipelines = new Tally(() => ({ runs: 0, failures: 0, total: createHistogram() }));
  const attempts = new Tally(noAttempts);
  const breakers = new Tally(() => ({ opened: 0, rejected: 0 }));
  const services = new Tally(noServiceCounts);
  const fallbacks = new Tally(() => ({ used: 0 }));
  const models = new Tally(() => ({
    calls: 0,
    failures: 0,
    aborted: 0,
    outputTokens: 0,
    firstChunk: createHistogram(),
    total: createHistogram(),
  }));

  function observe(event: ObservedEvent): void {
    switch (event.type) {
      case 'cache.hit': {
        const stats = caches.of(event.cache);
        stats.hits[event.level]++;
        if (event.stale !== false) stats.staleHits++;
        stats.savedMs += event.savedMs;
        return;
      }
      case 'cache.miss':
        caches.of(event.cache).misses++;
        return;
      case 'cache.failed':
        caches.of(event.cache).failures++;
        return;
      case 'cache.computed':
        if (event.background) caches.of(event.cache).refreshes++;
        return;
      case 'cache.evicted':
        caches.of(event.cache).evictions++;
        return;
      case 'cache.rejected':
        caches.of(event.cache).rejected++;
        return;
      case 'cache.store-failed':
        caches.of(event.cache).storeFailures++;
        return;
      case 'limiter.allowed':
      case 'limiter.refused': {
        const stats = limiters.of(event.limiter);
        stats[event.type === 'limiter.allowed' ? 'allowed' : 'refused']++;
        stats.decidedBy[event.decidedBy] = (stats.decidedBy[event.decidedBy] ?? 0) + 1;
        if (event.type === 'limiter.allowed') stats.waitedMs += event.waitedMs;
        return;
      }
      case 'limiter.store-failed':
        limiters.of(event.limiter).storeFailures++;
        return;
      case 'batch.done':
      case 'batch.failed': {
        const stats = batchers.of(event.batcher);
        stats.batches++;
        stats.items += event.items;
        stats.filled += event.fill;
        if (event.type === 'batch.failed') stats.failures++;
        if (event.trigger === 'split') stats.splits++;
        if (event.trigger === 'repeat') stats.repeats++;
        return;
      }
      case 'task.done': {
        const stats = executors.of(event.executor);
        stats[wasLate(event.error) ? 'failed' : taskCounts[event.outcome]]++;
        stats.waitedMs += event.waitedMs;
        stats.ranMs += event.ms;
        return;
      }
      case 'task.refused':
        executors.of(event.executor).refused++;
        return;
      case 'pipeline.done': {
        const stats = pipelines.of(event.pipeline);
        stats.runs++;
        if (event.endedBy !== 'done') stats.failures++;
        recordMs(stats.total, event.ms);
        return;
      }
      case 'attempt.ended':
        countAttempt(attempts.of(event.name), event);
        return;
      case 'breaker.opened':
        breakers.of(event.name).opened++;
        return;
      case 'breaker.rejected':
        breakers.of(event.name).rejected++;
        return;
      case 'http.failed':
        services.of(event.service).failures++;
        return;
      case 'http.redialled':
        services.of(event.service).redialled++;
        return;
      case 'fallback.used':
        fallbacks.of(event.name).used++;
        return;
      case 'model.answered': {
        const stats = models.of(event.model);
        stats.calls++;
        if (event.outcome === 'failed') stats.failures++;
        if (event.outcome === 'aborted') stats.aborted++;
        stats.outputTokens += event.outputTokens ?? 0;
        if (event.firstChunkMs !== undefined) recordMs(stats.firstChunk, event.firstChunkMs);
        if (event.outcome === 'complete') recordMs(stats.total, event.totalMs);
      }
    }
  }

  function snapshot(): PerformanceSnapshot {
    return {
      uptimeMs: clock.now() - began,
      caches: caches.map(({ hits, ...rest }) => {
        const hit = hits.memory + hits.store + hits.shared;
        const asked = hit + rest.misses;
        return {
          hits: { ...hits },
          ...rest,
          savedMs: Math.round(rest.savedMs),
          hitRate: asked === 0 ? null : hit / asked,
        };
      }),
      limiters: limiters.map((stats) => ({ ...stats, decidedBy: { ...stats.decidedBy } })),
      batchers: batchers.map(({ filled, ...rest }) => ({
        ...rest,
        efficiency: rest.batches === 0 ? null : filled / rest.batches,
      })),
      executors: executors.map((stats) => ({ ...stats })),
      pipelines: pipelines.map(({ total, ...rest }) => ({ ...rest, totalMs: quantiles(total) })),
      attempts: attempts.map((stats) => ({ ...stats })),
      fallbacks: fallbacks.map((stats) => ({ ...stats })),
      breakers: breakers.map((stats) => ({ ...stats })),
      services: services.map((stats) => ({ ...stats })),
      models: models.map(({ firstChunk, total, ...rest }) => {
        return { ...rest, firstChunkMs: quantiles(firstChunk), totalMs: quantiles(total) };
      }),
    };
  }

  return { observe, snapshot };
}

/** Which counter an outcome belongs to. */
const taskCounts = {
  fulfilled: 'done',
  rejected: 'failed',
  'timed-out': 'failed',
  aborted: 'aborted',
  'not-started': 'aborted',
} as const;

function wasLate(error: unknown): boolean {
  return isWarmpathError(error) && error.code === 'WP_DEADLINE';
}

/** Counters by name, with a limit on the names. */
class Tally<Stats> {
  readonly #byName = new Map<string, Stats>();
  readonly #fresh: () => Stats;

  constructor(fresh: () => Stats) {
    this.#fresh = fresh;
  }

  of(name: string): Stats {
    const known = this.#byName.get(name);
    if (known) return known;
    if (this.#byName.size >= mostNames && name !== overflowName) return this.of(overflowName);
    const stats = this.#fresh();
    this.#byName.set(name, stats);
    return stats;
  }

  map<Shown>(show: (stats: Stats) => Shown): Record<string, Shown> {
    return Object.fromEntries(Array.from(this.#byName, ([name, stats]) => [name, show(stats)]));
  }
}

/** The histogram counts whole microseconds from 1 up. */
function recordMs(histogram: RecordableHistogram, ms: number): void {
  histogram.record(Math.max(1, Math.round(ms * 1_000)));
}

function quantiles(histogram: RecordableHistogram): Quantiles | null {
  if (histogram.count === 0) return null;
  const at = (percentile: number): number => histogram.percentile(percentile) / 1_000;
  return { count: histogram.count, p50: at(50), p95: at(95), p99: at(99) };
}
