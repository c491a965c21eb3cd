import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chaosStore, createFakeClock, memoryStore, type Trouble } from '../../testing/index.js';
import type { CacheEvent } from '../events.js';
import { StoreCall, type StoreOutcome } from './store-call.js';

function setUp(storeTimeoutMs = 50) {
  const clock = createFakeClock();
  const store = chaosStore(memoryStore(), { clock });
  const log: string[] = [];
  const onEvent = (event: CacheEvent): void => {
    if (event.type === 'cache.store-failed') log.push(`${event.operation} failed`);
    if (event.type === 'cache.store-state') log.push(`${event.access} ${event.state}`);
  };
  const call = new StoreCall({ name: 'test', store, storeTimeoutMs, clock, onEvent });
  const make = {
    getMany: () =>
      call.attempt('getMany', (it, signal) => it.getMany({ namespace: 'n', keys: ['k'], tags: [], signal })),
    acquire: () =>
      call.attempt('acquire', async (it, signal) =>
        it.leasing?.acquire({ namespace: 'n', keys: ['k'], fence: undefined, token: 't', signal }),
      ),
    setMany: () => call.attempt('setMany', (it, signal) => it.setMany({ namespace: 'n', entries: [], signal })),
    invalidate: () =>
      call.attempt('invalidate', async (it, signal) => {
        await it.invalidate({ namespace: 'n', invalidation: { type: 'clear' }, signal });
        return true;
      }),
  };
  const attempt = (operation: (typeof operations)[number]): Promise<StoreOutcome<unknown>> => make[operation]();
  return { clock, store, log, call, attempt };
}

const operations = ['getMany', 'acquire', 'setMany', 'invalidate'] as const;

describe('a call to the store', () => {
  it.each<[Trouble, number]>([
    ['reject', 0],
    ['throw', 0],
    ['hang', 50],
    [50.5, 50],
    [1_000, 50],
  ])('that meets %j has failed after %i ms, which is said once', async (trouble, afterMs) => {
    for (const operation of operations) {
      const { attempt, clock, store, log } = setUp();
      store.trouble(trouble);
      const outcome = attempt(operation);
      if (afterMs > 0) {
        await clock.advance(afterMs - 1);
        expect(log).toEqual([]);
        await clock.advance(1);
      }
      const { value, late } = await outcome;
      expect([value, late !== undefined, log]).toEqual([undefined, afterMs > 0, [`${operation} failed`]]);
      await clock.advance(100_000);
      expect([log.length, clock.pending]).toEqual([1, 0]);
    }
  });

  it('has its answer when it comes within the deadline, however close', async () => {
    const { attempt, clock, store, log } = setUp();
    store.trouble(49.9);
    const outcome = attempt('getMany');
    await clock.advance(49.9);
    expect((await outcome).value).toMatchObject({ entries: [undefined] });
    expect([log, clock.pending]).toEqual([[], 0]);
  });

  it('has failed with an error, whatever it is rejected with, and says so though it fails again after its deadline', async () => {
    const { call, clock, log } = setUp();
    expect(await call.attempt('getMany', () => Promise.reject(undefined))).toEqual({
      value: undefined,
      late: undefined,
    });
    const outcome = call.attempt(
      'getMany',
      (_, signal) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    );
    await clock.advance(50);
    expect((await outcome).value).toBeUndefined();
    expect(log).toEqual(['getMany failed', 'getMany failed']);
  });

  it('is told by its signal when nobody waits for it any more, with the deadline as the reason', async () => {
    const { call, clock } = setUp();
    const reasons: unknown[] = [];
    void call.attempt('getMany', (_, signal) => {
      signal.addEventListener('abort', () => reasons.push(signal.reason));
      return new Promise(() => {});
    });
    await clock.advance(50);
    expect(reasons).toEqual([expect.objectContaining({ code: 'WP_DEADLINE' })]);
  });

  it.each([
    ['comes back', 700, 700],
    ['counts as lost', 'hang', 30_000],
  ] as const)('that is late says when it %s', async (_, trouble, atMs) => {
    const { attempt, clock, store } = setUp();
    store.trouble(trouble);
    const outcome = attempt('setMany');
    await clock.advance(50);
    let isOver = false;
    void (await outcome).late?.then(() => {
      isOver = true;
    });
    await clock.advance(atMs - 51);
    expect(isOver).toBe(false);
    await clock.advance(1);
    expect(isOver).toBe(true);
  });

  it('keeps the process alive while somebody waits for it, and not for a write', async () => {
    const { call, clock } = setUp();
    const kept: (boolean | undefined)[] = [];
    const { schedule } = clock;
    clock.schedule = (delayMs, run, options) => {
      if (delayMs === 50) kept.push(!options?.background);
      return schedule(delayMs, run, options);
    };
    for (const operation of operations) await call.attempt(operation, async () => true);
    expect(kept).toEqual([true, true, false, true]);
  });
});

describe('the breakers of a store', () => {
  it('leave a store alone that answers no reads, and say each change once', async () => {
    const { attempt, clock, store, log } = setUp();
    store.trouble('reject');
    for (let call = 0; call < 5; call++) await attempt('getMany');
    expect(log.splice(0)).toEqual([...Array(5).fill('getMany failed'), 'reading open']);
    for (const operation of operations) expect(await attempt(operation)).toEqual({ value: undefined, late: undefined });
    expect([store.calls.length, log]).toEqual([5, []]);
    await clock.advance(1_000);
    store.trouble(undefined);
    expect((await attempt('getMany')).value).toBeDefined();
    expect(log).toEqual(['reading half-open', 'reading closed']);
  });

  it('let one probe through however many ask, and wait for what comes of it', async () => {
    const { attempt, clock, store, log } = setUp();
    store.trouble('reject');
    for (let call = 0; call < 5; call++) await attempt('getMany');
    await clock.advance(1_000);
    store.trouble(30);
    log.length = 0;
    const asked = Array.from({ length: 100 }, () => attempt('getMany'));
    expect(store.calls.length).toBe(6);
    await clock.advance(30);
    expect((await Promise.all(asked)).filter(({ value }) => value !== undefined)).toHaveLength(1);
    expect(log).toEqual(['reading half-open', 'reading closed']);
  });

  it('leave reading alone where only writes and invalidations fail, and writes where only those do', async () => {
    const { attempt, store, log } = setUp();
    store.trouble('full');
    for (let call = 0; call < 20; call++) {
      for (const operation of operations) await attempt(operation);
    }
    const made = (operation: string): number => store.calls.filter((call) => call.startsWith(operation)).length;
    expect(operations.map(made)).toEqual([20, 5, 5, 5]);
    expect(log.filter((line) => !line.endsWith('failed'))).toEqual(['writing open']);
    store.trouble(undefined);
    expect((await attempt('getMany')).value).toBeDefined();
  });

  it('make no more than a call a second of a store that never answers, and then one in thirty', async () => {
    const { attempt, clock, store } = setUp();
    store.trouble('hang');
    const callsPerMinute: number[] = [];
    for (let minute = 0; minute < 4; minute++) {
      const before = store.calls.length;
      for (let call = 0; call < 6_000; call++) {
        void attempt(operations[call % 3] ?? 'getMany');
        await clock.advance(10);
      }
      callsPerMinute.push(store.calls.length - before);
    }
    expect(callsPerMinute[0]).toBeLessThan(40);
    expect(callsPerMinute[3]).toBeLessThanOrEqual(6);
    expect(clock.pending).toBeLessThanOrEqual(12);
  });

  it('let calls through again within 31 seconds of its recovery, whatever has happened before', async () => {
    const trouble = fc.constantFrom<Trouble | undefined>(undefined, 'reject', 'throw', 'hang', 'full', 20, 70);
    const step = fc.record({
      operation: fc.constantFrom(...operations),
      trouble,
      ms: fc.constantFrom(0, 0, 10, 500, 1_000, 20_000),
      times: fc.constantFrom(1, 5),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.constantFrom(50, 1_500), async (steps, timeoutMs) => {
        const { attempt, clock, store } = setUp(timeoutMs);
        const outcomes: Promise<unknown>[] = [];
        for (const each of steps) {
          store.trouble(each.trouble);
          for (let time = 0; time < each.times; time++) outcomes.push(attempt(each.operation));
          await clock.advance(each.ms);
        }
        store.trouble(undefined);
        await clock.advance(timeoutMs);
        await Promise.all(outcomes);
        await clock.advance(30_000);
        for (const operation of operations) expect((await attempt(operation)).value).toBeDefined();
        expect(clock.pending).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});

describe('the limit on calls under way', () => {
  it('is a thousand, refuses the others at once, and says so', async () => {
    const { attempt, clock, store, log } = setUp();
    store.trouble('hang');
    const calls = Array.from({ length: 1_500 }, () => attempt('getMany'));
    expect(store.calls.length).toBe(1_000);
    expect(await Promise.all(calls.slice(1_000))).toEqual(Array(500).fill({ value: undefined, late: undefined }));
    expect(log).toEqual(Array(500).fill('getMany failed'));
    await clock.advance(50);
    await Promise.all(calls);
  });

  it('says nothing while the store is left alone anyway', async () => {
    const { attempt, clock, store, log } = setUp();
    store.trouble('hang');
    for (let call = 0; call < 1_000; call++) void attempt('getMany');
    await clock.advance(50);
    log.length = 0;
    for (let call = 0; call < 1_000; call++) expect((await attempt('getMany')).value).toBeUndefined();
    expect(log).toEqual([]);
  });

  it('writes off after 30 seconds what has not come back, and takes new calls then', async () => {
    const { attempt, clock, store } = setUp(60_000);
    store.trouble('hang');
    for (let call = 0; call < 1_000; call++) void attempt('getMany');
    store.trouble(undefined);
    await clock.advance(29_999);
    expect((await attempt('getMany')).value).toBeUndefined();
    await clock.advance(1);
    expect((await attempt('getMany')).value).toBeDefined();
  });

  it('is not reached by a hundred thousand calls that come back', async () => {
    const { attempt, log, clock } = setUp();
    for (let round = 0; round < 100; round++) {
      await Promise.all(Array.from({ length: 1_000 }, () => attempt('getMany')));
    }
    expect([log, clock.pending]).toEqual([[], 0]);
  });
});
