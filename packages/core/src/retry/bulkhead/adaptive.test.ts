import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../../testing/index.js';
import { firstChunk } from '../first-chunk.js';
import { wrap } from '../policy.js';
import { timeout } from '../timeout.js';
import { type BulkheadEvent, type BulkheadOptions, bulkhead } from './index.js';

function setUp(options: BulkheadOptions) {
  const clock = createFakeClock();
  const events: BulkheadEvent[] = [];
  const policy = bulkhead({ name: 'gpt', clock, onEvent: (event) => events.push(event), ...options });
  return { clock, events, policy };
}

describe('a bulkhead with an adaptive limit', () => {
  /** So many callers one after the other at a backend that takes `msOf(running)`. */
  async function load(options: BulkheadOptions, msOf: (running: number) => number) {
    const { policy, clock, events } = setUp({ maxWaiting: 1_000, ...options });
    let running = 0;
    let peak = 0;
    const work = async () => {
      peak = Math.max(peak, ++running);
      const { waiting, limit, running: placesTaken } = policy.stats();
      if (waiting > 0) expect(placesTaken).toBeGreaterThanOrEqual(limit);
      await new Promise<void>((resolve) => clock.schedule(msOf(running), resolve));
      running--;
    };
    const caller = async () => {
      for (let call = 0; call < 60; call++) await policy(work);
    };
    const all = Promise.all(Array.from({ length: 40 }, caller));
    await clock.settle();
    while (clock.pending > 0) await clock.advance(1_000);
    await all;
    return { stats: policy.stats(), events, peak };
  }

  it('grows while calls take no longer, and says so', async () => {
    const { stats, events, peak } = await load({ maxConcurrent: { initial: 10, max: 30 } }, () => 100);
    expect(stats.limit).toBe(30);
    expect(peak).toBe(30);
    expect(events).toContainEqual({ type: 'bulkhead.resized', name: 'gpt', from: 10, to: 11 });
    expect(stats).toMatchObject({ running: 0, waiting: 0, rejected: 0 });
  });

  it('falls while calls take the longer the more there are', async () => {
    const { stats } = await load({ maxConcurrent: { initial: 40, min: 3 } }, (running) => 20 * running);
    expect(stats.limit).toBeLessThan(15);
  });

  it('falls when calls do not end in time', async () => {
    const { policy, clock } = setUp({ maxConcurrent: { initial: 20 }, maxWaiting: 99 });
    const ask = wrap(policy, timeout({ after: '5s', clock }));
    for (const ms of [100, 100, 100, 60_000, 60_000]) {
      const work = () => new Promise<void>((resolve) => clock.schedule(ms, resolve));
      const all = Promise.allSettled(Array.from({ length: 20 }, () => ask(work)));
      await clock.settle();
      while (clock.pending > 0) await clock.advance(1_000);
      await all;
    }
    expect(policy.stats().limit).toBeLessThan(20);
  });

  it('lets those who wait in at once when it has grown, also while streams go on', async () => {
    const { policy, clock } = setUp({ maxConcurrent: { initial: 20, max: 40 }, maxWaiting: 999 });
    const produce = async function* () {
      await new Promise<void>((resolve) => clock.schedule(100, resolve));
      yield 1;
      await new Promise<void>((resolve) => clock.schedule(30_000, resolve));
    };
    const ask = async () => {
      for await (const _ of await policy(firstChunk(produce, { clock })));
    };
    const all = Promise.all(Array.from({ length: 200 }, ask));
    for (let turn = 0; turn < 4_000 && policy.stats().running + policy.stats().waiting > 0; turn++) {
      await clock.advance(100);
      const { running, waiting, limit } = policy.stats();
      if (waiting > 0) expect(running).toBeGreaterThanOrEqual(limit);
    }
    await all;
  });

  it('goes by the time of a chunk where it is told to, whatever answers take', async () => {
    const { policy, clock } = setUp({ maxConcurrent: { initial: 20, measure: 'chunk' }, maxWaiting: 20 });
    const answer = async (chunkMs: number, chunks: number) => {
      const produce = async function* () {
        for (let chunk = 0; chunk < chunks; chunk++) {
          if (chunk > 0) await new Promise<void>((resolve) => clock.schedule(chunkMs, resolve));
          yield chunk;
        }
      };
      for await (const _ of await policy(firstChunk(produce, { clock })));
    };
    const round = async (chunkMs: number) => {
      const all = Promise.all(Array.from({ length: 20 }, (_, index) => answer(chunkMs, 2 + (index % 9))));
      await clock.settle();
      while (clock.pending > 0) await clock.advance(1_000);
      await all;
      return policy.stats().limit;
    };
    for (let index = 0; index < 5; index++) await round(10);
    expect(policy.stats().limit).toBeGreaterThanOrEqual(20);
    for (let index = 0; index < 3; index++) await round(40);
    expect(policy.stats().limit).toBeLessThan(20);
  });
});
