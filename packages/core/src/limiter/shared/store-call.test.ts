import { describe, expect, it } from 'vitest';
import { SimulatedLimits, type StoreFault, windowOf } from '../../../test/limiter-stores.js';
import { createFakeClock } from '../../testing/index.js';
import type { LimiterStore, StoreVerdict } from '../store.js';
import type { SharedEvent } from './events.js';
import { type Attempt, StoreCall } from './store-call.js';

function setUp() {
  const clock = createFakeClock();
  const store = new SimulatedLimits(clock).connect();
  const events: SharedEvent[] = [];
  const call = new StoreCall({
    ...{ limiter: 'test', store, storeTimeoutMs: 50, clock },
    onEvent: (event) => events.push(event),
  });
  /** Everything that a take says, in order. */
  const said: string[] = [];
  const ask = (it: LimiterStore, signal: AbortSignal) =>
    it.take({ limiter: 'test', key: 'k', dimensions: [windowOf(10)], amounts: [1], signal });
  const take = (options?: Attempt<StoreVerdict>) =>
    call
      .attempt('take', ask, { late: ({ ok }) => said.push(`late ${ok}`), lost: () => said.push('lost'), ...options })
      .then((answer) => said.push(answer ? `${answer.value.ok}` : 'nothing'));
  return { clock, store, call, events, said, take };
}

describe('a call to a store of limits', () => {
  it.each<[StoreFault, number, string[]]>([
    ['well', 0, ['true']],
    [49.9, 49.9, ['true']],
    ['dead', 0, ['lost', 'nothing']],
    ['mute', 50, ['nothing']],
    [51, 50, ['nothing']],
  ])('to one that is %j has its answer after %d ms', async (fault, afterMs, expected) => {
    const { clock, store, said, take } = setUp();
    store.fault = fault;
    void take();
    if (afterMs > 0) await clock.advance(afterMs - 0.1);
    if (afterMs > 0) expect(said).toEqual([]);
    await clock.advance(0.1);
    expect(said).toEqual(expected);
  });

  it.each<[string, StoreFault, number, string[]]>([
    ['answers late', 80, 80, ['nothing', 'late true']],
    ['never answers', 'mute', 30_050, ['nothing', 'lost']],
    ['answers when it counted as lost already', 31_000, 31_000, ['nothing', 'lost', 'late true']],
  ])('that %s says so, and leaves no timer', async (_, fault, afterMs, expected) => {
    const { clock, store, said, take } = setUp();
    store.fault = fault;
    void take();
    await clock.advance(afterMs - 1);
    expect(said).toEqual(expected.slice(0, -1));
    await clock.advance(1);
    expect([said, clock.pending]).toEqual([expected, 0]);
  });

  it('is told by its signal that nobody waits any more, and a store that rejects then has not failed twice', async () => {
    const { clock, call, events } = setUp();
    let lost = 0;
    const rejects = (_: LimiterStore, signal: AbortSignal) =>
      new Promise<never>((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    const outcome = call.attempt('take', rejects, { lost: () => lost++ });
    await clock.advance(50);
    expect([await outcome, lost, clock.pending]).toEqual([undefined, 1, 0]);
    expect(events).toMatchObject([
      {
        type: 'limiter.store-failed',
        limiter: 'test',
        store: 'simulated',
        operation: 'take',
        error: { code: 'WP_DEADLINE' },
      },
    ]);
  });

  it('is a failure like any other when the store throws at once, or rejects without a reason', async () => {
    const { call, events } = setUp();
    const bad = [
      () => {
        throw new TypeError('bad');
      },
      () => Promise.reject(undefined),
    ];
    for (const each of bad) expect(await call.attempt('peers', each)).toBeUndefined();
    expect(events.map((event) => 'error' in event && String(event.error))).toEqual([
      'TypeError: bad',
      'Error: The store rejected without a reason.',
    ]);
  });

  it('is not made in a pause, unless the store was heard; then one tries, and no second one', async () => {
    const { clock, store, call, events, said, take } = setUp();
    store.fault = 'dead';
    for (let index = 0; index < 5; index++) await take();
    store.fault = 'well';
    const made = store.made.length;
    said.length = 0;
    await take();
    expect([said, store.made.length, call.state]).toEqual([['lost', 'nothing'], made, 'open']);
    expect(call.retryInMs()).toBeGreaterThanOrEqual(1_000);
    expect(call.retryInMs()).toBeLessThanOrEqual(1_001);
    await take({ despitePause: true });
    expect([said.at(-1), call.state]).toEqual(['true', 'open']);
    await clock.advance(1_000);
    store.fault = 10;
    const probe = take();
    store.fault = 'well';
    await take({ despitePause: true });
    expect(call.state).toBe('half-open'); // which says nothing of how the one that tries fares
    await take();
    await clock.advance(10);
    await probe;
    expect(said.slice(-4)).toEqual(['true', 'lost', 'nothing', 'true']);
    expect(events.flatMap((event) => ('state' in event ? event.state : []))).toEqual(['open', 'half-open', 'closed']);
  });

  it('is not made when too many have not come back, and is again once they count as lost', async () => {
    const { clock, store, call, events, take } = setUp();
    for (let index = 0; index < 10_000; index++) void take();
    await clock.settle();
    store.fault = 'mute';
    for (let index = 0; index < 10_001; index++) void take();
    expect(events).toMatchObject([{ error: { code: 'WP_OVERLOADED' } }]);
    await clock.advance(30_049);
    expect(store.made).toHaveLength(20_000);
    await take({ despitePause: true });
    expect(store.made).toHaveLength(20_000);
    await clock.advance(1);
    void take({ despitePause: true });
    expect(store.made).toHaveLength(20_001);
    call.close();
    await clock.advance(50);
    expect(clock.pending).toBe(0);
  });
});
