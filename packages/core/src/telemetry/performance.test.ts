import { describe, expect, it } from 'vitest';
import { WarmpathError } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';
import { createPerformanceRecorder } from './index.js';

function setUp() {
  const clock = createFakeClock();
  return { clock, recorder: createPerformanceRecorder({ clock }) };
}

describe('the performance snapshot', () => {
  it('is empty at first and counts the time since', async () => {
    const { clock, recorder } = setUp();
    await clock.advance(1_500);
    expect(recorder.snapshot()).toEqual({
      uptimeMs: 1_500,
      caches: {},
      limiters: {},
      batchers: {},
      executors: {},
      pipelines: {},
      attempts: {},
      breakers: {},
      services: {},
      fallbacks: {},
      models: {},
    });
  });

  it('counts hits of all kinds over all lookups', () => {
    const { recorder } = setUp();
    for (const level of ['memory', 'memory', 'store', 'shared'] as const) {
      recorder.observe({ type: 'cache.hit', cache: 'answers', level, savedMs: 100, stale: false });
    }
    const stale = { type: 'cache.hit', cache: 'stale', level: 'memory', savedMs: 5, stale: 'failed' } as const;
    recorder.observe(stale);
    recorder.observe({ type: 'cache.computed', cache: 'stale', background: true });
    recorder.observe({ type: 'cache.computed', cache: 'stale', background: false });
    recorder.observe({ type: 'cache.evicted', cache: 'stale' });
    recorder.observe({ type: 'cache.rejected', cache: 'stale' });
    recorder.observe({ type: 'cache.store-failed', cache: 'answers' });
    for (let miss = 0; miss < 4; miss++) recorder.observe({ type: 'cache.miss', cache: 'answers' });
    recorder.observe({ type: 'cache.failed', cache: 'answers' });
    recorder.observe({ type: 'cache.store-failed', cache: 'quiet' });
    expect(recorder.snapshot().caches).toEqual({
      answers: {
        hits: { memory: 2, store: 1, shared: 1 },
        staleHits: 0,
        misses: 4,
        failures: 1,
        refreshes: 0,
        evictions: 0,
        rejected: 0,
        storeFailures: 1,
        hitRate: 0.5,
        savedMs: 400,
      },
      stale: expect.objectContaining({ staleHits: 1, refreshes: 1, evictions: 1, rejected: 1, savedMs: 5 }),
      quiet: expect.objectContaining({ hitRate: null, storeFailures: 1 }),
    });
  });

  it('counts limiters, batchers, executors, pipelines, retries and fallbacks by name', () => {
    const { recorder } = setUp();
    recorder.observe({ type: 'limiter.allowed', limiter: 'api', decidedBy: 'store', waitedMs: 250 });
    recorder.observe({ type: 'limiter.refused', limiter: 'api', decidedBy: 'store' });
    recorder.observe({ type: 'limiter.allowed', limiter: 'api', decidedBy: 'none', waitedMs: 0 });
    recorder.observe({ type: 'limiter.store-failed', limiter: 'api' });
    recorder.observe({ type: 'batch.done', batcher: 'embed', items: 30, fill: 0.75, trigger: 'full' });
    recorder.observe({ type: 'batch.failed', batcher: 'embed', items: 2, fill: 0.25, trigger: 'split' });
    recorder.observe({ type: 'task.done', executor: 'work', outcome: 'fulfilled', ms: 30, waitedMs: 5 });
    recorder.observe({ type: 'task.done', executor: 'work', outcome: 'timed-out', ms: 20, waitedMs: 0 });
    recorder.observe({ type: 'task.done', executor: 'work', outcome: 'not-started', ms: 0, waitedMs: 7 });
    const late = new WarmpathError('WP_DEADLINE', 'late');
    recorder.observe({ type: 'task.done', executor: 'work', outcome: 'not-started', ms: 0, waitedMs: 0, error: late });
    recorder.observe({ type: 'task.refused', executor: 'work' });
    recorder.observe({ type: 'pipeline.done', pipeline: 'answer', endedBy: 'done', ms: 40 });
    recorder.observe({ type: 'pipeline.done', pipeline: 'answer', endedBy: 'failure', ms: 40 });
    recorder.observe({ type: 'attempt.ended', name: 'm', kind: 'first', outcome: 'failed' });
    recorder.observe({ type: 'attempt.ended', name: 'm', kind: 'retry', outcome: 'ok' });
    recorder.observe({ type: 'attempt.ended', name: 'm', kind: 'fallback', outcome: 'refused' });
    recorder.observe({ type: 'breaker.opened', name: 'm' });
    recorder.observe({ type: 'breaker.rejected', name: 'm' });
    recorder.observe({ type: 'http.failed', service: 's' });
    recorder.observe({ type: 'http.redialled', service: 's' });
    recorder.observe({ type: 'fallback.used', name: 'chat' });
    expect(recorder.snapshot()).toMatchObject({
      limiters: { api: { allowed: 2, refused: 1, decidedBy: { store: 2, none: 1 }, waitedMs: 250, storeFailures: 1 } },
      batchers: { embed: { batches: 2, failures: 1, items: 32, splits: 1, repeats: 0, efficiency: 0.5 } },
      executors: { work: { done: 1, failed: 2, aborted: 1, refused: 1, waitedMs: 12, ranMs: 50 } },
      pipelines: { answer: { runs: 2, failures: 1, totalMs: { count: 2 } } },
      attempts: { m: { sent: 2, retries: 1, hedges: 0, fallbacks: 0, failures: 1, aborted: 0, refused: 1 } },
      breakers: { m: { opened: 1, rejected: 1 } },
      services: { s: { failures: 1, redialled: 1 } },
      fallbacks: { chat: { used: 1 } },
    });
  });

  it('keeps the quantiles of a model’s times within one percent', () => {
    const { recorder } = setUp();
    for (let ms = 1; ms <= 1_000; ms++) {
      const times = { firstChunkMs: ms / 10, totalMs: ms, outputTokens: 2 };
      recorder.observe({ type: 'model.answered', model: 'm', outcome: 'complete', ...times });
    }
    recorder.observe({
      type: 'model.answered',
      model: 'm',
      outcome: 'failed',
      firstChunkMs: undefined,
      totalMs: 9e9,
      outputTokens: undefined,
    });
    const { m } = recorder.snapshot().models;
    expect(m).toMatchObject({ calls: 1_001, failures: 1, aborted: 0, outputTokens: 2_000 });
    expect(m?.totalMs?.count).toBe(1_000);
    for (const [quantile, expected] of [
      ['p50', 500],
      ['p95', 950],
      ['p99', 990],
    ] as const) {
      expect(Math.abs((m?.totalMs?.[quantile] ?? 0) / expected - 1)).toBeLessThan(0.01);
      expect(Math.abs((m?.firstChunkMs?.[quantile] ?? 0) / (expected / 10) - 1)).toBeLessThan(0.01);
    }
  });

  it('has no quantiles before the first answer', () => {
    const { recorder } = setUp();
    const nothing = { firstChunkMs: undefined, totalMs: 5, outputTokens: undefined };
    recorder.observe({ type: 'model.answered', model: 'm', outcome: 'aborted', ...nothing });
    expect(recorder.snapshot().models.m).toMatchObject({ calls: 1, aborted: 1, firstChunkMs: null, totalMs: null });
  });

  it('is a picture: later events do not change it, and changing it changes nothing', () => {
    const { recorder } = setUp();
    const hit = { type: 'cache.hit', cache: 'a', level: 'memory', savedMs: 1, stale: false } as const;
    recorder.observe(hit);
    const before = recorder.snapshot();
    (before.caches.a as { misses: number }).misses = 99;
    recorder.observe(hit);
    expect(before.caches.a?.hits.memory).toBe(1);
    expect(recorder.snapshot().caches.a).toMatchObject({ misses: 0, hits: { memory: 2 } });
  });

  it('counts at most 1,000 names of a kind apart, and the rest together', () => {
    const { recorder } = setUp();
    for (let name = 0; name < 1_500; name++) {
      recorder.observe({ type: 'limiter.allowed', limiter: `limiter ${name}`, decidedBy: 'memory', waitedMs: 0 });
    }
    const { limiters } = recorder.snapshot();
    expect(Object.keys(limiters)).toHaveLength(1_001);
    expect(limiters.__overflow__).toMatchObject({ allowed: 500, refused: 0, decidedBy: { memory: 500 } });
  });

  it('takes any name, also one that every object has', () => {
    const { recorder } = setUp();
    for (const limiter of ['__proto__', 'constructor', 'toString']) {
      recorder.observe({ type: 'limiter.allowed', limiter, decidedBy: 'memory', waitedMs: 0 });
    }
    expect(Object.keys(recorder.snapshot().limiters)).toEqual(['__proto__', 'constructor', 'toString']);
  });

  it('lets other events pass by', () => {
    const { recorder } = setUp();
    recorder.observe({ type: 'selector.ranked' } as never);
    expect(recorder.snapshot().models).toEqual({});
  });
});
