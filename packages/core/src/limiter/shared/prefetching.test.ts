import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deskOn, SimulatedLimits, windowOf } from '../../../test/limiter-stores.js';
import { createFakeClock } from '../../testing/index.js';
import type { Charge, DeskAnswer } from '../desk.js';
import type { Dimension } from '../dimensions.js';
import type { StoreDesk } from './store-desk.js';

const tokens: Dimension = {
  ...{ kind: 'window', name: 'tokens', unit: 'tokens', limit: 10_000, windowMs: 60_000, burst: undefined },
};

function setUp(dimensions: readonly Dimension[] = [windowOf(100)], prefetch = 0.2) {
  const clock = createFakeClock();
  const limits = new SimulatedLimits(clock);
  const another = () => deskOn(limits, { dimensions, prefetch });
  const used = (): number => limits.used('test', 'k')[0] ?? 0;
  return { clock, limits, another, used, ...another() };
}

async function decided(desk: StoreDesk, times: number, amounts: readonly number[] = [1]): Promise<string[]> {
  const by: string[] = [];
  for (let index = 0; index < times; index++) by.push((await desk.take('k', amounts, {})).decidedBy);
  return by;
}

describe('what is taken in advance', () => {
  it('answers without the store, once a key has been asked for a moment ago, and is asked for again when half is left', async () => {
    const { desk, store, used } = setUp();
    expect(desk.takeNow('k', [1])).toBeUndefined();
    expect(await decided(desk, 12)).toEqual(['store', ...Array<string>(11).fill('lease')]);
    expect(store.made.filter((each) => each === 'take')).toHaveLength(3);
    expect(used()).toBe(1 + 20 + 11); // the second one filled it up to 20 again
    expect(desk.takeNow('k', [1])).toMatchObject({
      decidedBy: 'lease',
      verdict: { ok: true, binding: 0, waitMs: 0, remaining: [87] },
    });
  });

  it('is taken for one that was not asked for lately only when it is asked for again', async () => {
    const { desk, clock } = setUp();
    for (let index = 0; index < 5; index++) {
      expect(await decided(desk, 1)).toEqual(['store']);
      await clock.advance(1_001);
    }
  });

  it('goes back after a second in which nobody used it, to the last unit', async () => {
    const { desk, clock, store, used } = setUp();
    await decided(desk, 5);
    expect(used()).toBe(21);
    await clock.advance(999);
    expect(used()).toBe(21);
    await clock.advance(502);
    expect([used(), store.made.at(-1)]).toEqual([5, 'settle -16']);
    expect(desk.takeNow('k', [1])).toBeUndefined();
    await clock.advance(20_000);
    expect(clock.pending).toBe(0);
  });

  it('goes back on closing, which a store that does not answer holds up no longer than its deadline', async () => {
    for (const [fault, left] of [
      ['well', 5],
      ['frozen', 21],
    ] as const) {
      const { desk, clock, store, used } = setUp();
      await decided(desk, 5);
      store.fault = fault;
      let isClosed = false;
      void desk.close().then(() => {
        isClosed = true;
      });
      await clock.advance(fault === 'well' ? 0 : 50);
      expect([isClosed, used(), clock.pending]).toEqual([true, left, 0]);
      expect(desk.takeNow('k', [1])).toBeUndefined();
    }
  });

  it('is taken in smaller pieces where little is left, and at last for each request, so that nothing is left unused', async () => {
    const { desk, another } = setUp();
    const other = another();
    const by: string[] = [];
    for (let index = 0; index < 60; index++) by.push(...(await decided(desk, 1)), ...(await decided(other.desk, 1)));
    expect(by.filter((each) => each === 'lease').length).toBeGreaterThan(70);
    const allowed: boolean[] = [];
    for (const each of [desk, other.desk]) allowed.push((await each.take('k', [1], {})).verdict.ok);
    expect(allowed).toEqual([false, false]);
    expect(by).toHaveLength(120);
  });

  it('is not taken for requests that are large beside it, nor with a limit on concurrency', async () => {
    const { desk } = setUp();
    expect(new Set(await decided(desk, 4, [11]))).toEqual(new Set(['store']));
    const places = setUp([windowOf(100), { kind: 'concurrency', name: 'c', unit: 'concurrency', limit: 5 }]);
    expect(new Set(await decided(places.desk, 9, [1, 1]))).toEqual(new Set(['store']));
  });

  it('holds all units that requests need, and of the others nothing', async () => {
    const { desk, limits } = setUp([windowOf(100), tokens]);
    await decided(desk, 3, [1, 0]);
    expect(limits.used('test', 'k')).toEqual([21, 0]);
    expect(await decided(desk, 3, [1, 100])).toEqual(['lease', 'lease', 'lease']);
    expect(limits.used('test', 'k')[1]).toBe(2_000);
    expect(desk.takeNow('k', [1, 1_701])).toBeUndefined();
  });

  it('is shared by all who wait for it: many at once cost a few calls', async () => {
    const { desk, store, clock } = setUp([windowOf(10_000)]);
    store.fault = 5;
    void desk.take('k', [1], {});
    await clock.advance(5);
    const answers: DeskAnswer[] = [];
    for (let index = 0; index < 1_000; index++) void desk.take('k', [1], {}).then((each) => answers.push(each));
    await clock.advance(5);
    expect(answers.map(({ decidedBy }) => decidedBy)).toEqual(Array(1_000).fill('lease'));
    expect(store.made.filter((each) => each === 'take')).toHaveLength(2);
  });

  it('is waited for no longer than the deadline, with the question for the single request', async () => {
    const { desk, store, clock } = setUp();
    await decided(desk, 1);
    store.fault = 'frozen';
    let waited = -1;
    void desk.take('k', [1], {}).then(() => {
      waited = clock.now();
    });
    await clock.advance(49);
    expect(waited).toBe(-1);
    await clock.advance(1);
    expect(waited).toBe(50);
  });

  it('takes back what a request did not use, and pays for what it used beyond its reservation', async () => {
    const { desk, store, used } = setUp([windowOf(100)]);
    await decided(desk, 1);
    const charges: Charge[] = [];
    for (const amount of [3, 3, 3]) {
      const { charge } = await desk.take('k', [amount], { leaseTtlMs: 60_000 });
      if (charge) charges.push(charge);
    }
    const [one, two, three] = charges;
    if (!one || !two || !three) throw new Error('refused');
    desk.settle(one, [-2]);
    desk.settle(two, [1]);
    expect([store.made.filter((each) => each.startsWith('settle')), used()]).toEqual([[], 21]);
    desk.settle(three, [30]); // 12 in hand, 18 more
    expect(desk.takeNow('k', [1])).toBeUndefined();
    await desk.close();
    expect(used()).toBe(1 + 1 + 4 + 33);
  });
});

interface Use {
  readonly process: number;
  readonly amount: number;
  readonly afterMs: number;
  /** The part of it that is not used after all, and how long that takes to know. */
  readonly unused: number;
  readonly settledMs: number;
}

const uses: fc.Arbitrary<Use[]> = fc.array(
  fc.record({
    process: fc.nat(2),
    amount: fc.constantFrom(0.5, 1, 1, 1, 2, 5),
    afterMs: fc.constantFrom(0, 0, 0, 0, 1, 30, 100, 400, 1_700),
    unused: fc.constantFrom(0, 0, 0.5, 1),
    settledMs: fc.constantFrom(0, 20, 3_000),
  }),
  { minLength: 1, maxLength: 150, size: 'max' },
);

describe('processes that take in advance', () => {
  it('may spend one prefetch beside the limit: what they had in hand when the window began', async () => {
    const { desk, clock } = setUp([windowOf(100, 2_000)]);
    await decided(desk, 2);
    for (let ms = 0; ms < 2_100; ms += 300) {
      expect((await desk.take('k', [0.01], {})).decidedBy).toBe('lease');
      await clock.advance(300);
    }
    let burst = 0;
    while ((await desk.take('k', [0.1], {})).verdict.ok) burst += 0.1;
    expect(burst).toBeGreaterThan(115);
    expect(burst).toBeLessThanOrEqual(120);
  });

  it('exceed the limit in no window by more than one prefetch each, beside what was reserved when it began and came back', async () => {
    const [limit, windowMs, prefetch] = [60, 2_000, 0.25];
    let leased = 0;
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 3 }), uses, async (count, list) => {
        const clock = createFakeClock();
        const limits = new SimulatedLimits(clock);
        const processes = Array.from({ length: count }, () =>
          deskOn(limits, { dimensions: [windowOf(limit, windowMs)], prefetch }),
        );
        const log: { readonly at: number; readonly until: number; readonly net: number; readonly back: number }[] = [];
        for (const { process, amount, afterMs, unused, settledMs } of list) {
          const { desk } = processes[process % count] ?? {};
          const answer = await desk?.take('k', [amount], { leaseTtlMs: 60_000 });
          const charge = answer?.charge;
          if (charge) {
            const back = amount * unused;
            log.push({ at: clock.now(), until: clock.now() + settledMs, net: amount - back, back });
            clock.schedule(settledMs, () => desk?.settle(charge, [-back]));
            if (answer.decidedBy === 'lease') leased++;
          }
          if (afterMs > 0) await clock.advance(afterMs);
        }
        for (const { at: end } of log) {
          const begin = end - windowMs;
          let [inside, reserved] = [0, 0];
          for (const { at, until, net, back } of log) {
            if (at > begin && at <= end) inside += net;
            if (at <= begin && until > begin) reserved += back;
          }
          expect(inside).toBeLessThanOrEqual(limit + count * prefetch * limit + reserved + 1e-6);
        }
        await clock.advance(5_000);
        expect(limits.used('test', 'k')).toEqual([0]);
        await Promise.all(processes.map(({ desk }) => desk.close()));
        await clock.advance(10_000);
        expect(clock.pending).toBe(0);
      }),
      { numRuns: 200, seed: 11 },
    );
    expect(leased).toBeGreaterThan(2_000);
  });
});
