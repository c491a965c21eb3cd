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

  it('stays as long as it was used less than a second ago', async () => {
    const { desk, clock, used } = setUp();
    await decided(desk, 5);
    await clock.advance(490);
    expect(desk.takeNow('k', [1])).toBeDefined();
    await clock.advance(1_000);
    expect(used()).toBe(21);
    await clock.advance(100);
    expect(used()).toBe(6);
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

  it('goes back when it comes while the desk is being closed', async () => {
    const { desk, clock, store, used } = setUp();
    await decided(desk, 1);
    store.fault = 20;
    const late = desk.take('k', [1], {});
    store.fault = 'well';
    let isClosed = false;
    const closing = desk.close().then(() => {
      isClosed = true;
    });
    await clock.advance(19);
    expect(isClosed).toBe(false);
    await clock.advance(1);
    await closing;
    expect([(await late).decidedBy, used(), clock.pending]).toEqual(['store', 2, 0]);
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

  it('is never more than half of what is left, and asked for in few calls however little that is', async () => {
    const { desk, store, used } = setUp([windowOf(100)], 1);
    await decided(desk, 2);
    expect(used()).toBe(1 + 49);
    await decided(desk, 98);
    expect([used(), (await desk.take('k', [1], {})).verdict.ok]).toEqual([100, false]);
    expect(store.made.filter((each) => each === 'take').length).toBeLessThan(15);
  });

  it('is not taken for requests that are large beside it, nor with a limit on concurrency', async () => {
    const { desk } = setUp();
    expect(new Set(await decided(desk, 4, [11]))).toEqual(new Set(['store']));
    const places = setUp([windowOf(100), { kind: 'concurrency', name: 'c', unit: 'concurrency', limit: 50 }]);
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

  it('is not waited for while the store is away: what is in hand is spent, then the process decides', async () => {
    const { desk, store } = setUp();
    await decided(desk, 2);
    store.fault = 'dead';
    store.made.length = 0;
    const by = await decided(desk, 60);
    expect([by.indexOf('local'), new Set(by.slice(by.indexOf('local')))]).toEqual([19, new Set(['local'])]);
    expect(store.made.filter((each) => each === 'take').length).toBeLessThanOrEqual(5);
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

  it('takes back no more than may be in hand, and nothing of what is spent long since: the store gets that', async () => {
    const { desk, store, used, clock } = setUp();
    await decided(desk, 1);
    const { charge } = await desk.take('k', [9], { leaseTtlMs: 60_000 });
    const { charge: another } = await desk.take('k', [3], { leaseTtlMs: 60_000 });
    await clock.settle(); // filled up again
    expect(used()).toBe(1 + 12 + 20);
    if (!charge || !another) throw new Error('refused');
    desk.settle(charge, [-8]);
    expect(store.made.at(-1)).toBe('settle -8');
    await decided(desk, 40);
    desk.settle(another, [-3]);
    expect(store.made.at(-1)).toBe('settle -3');
    await desk.close();
    expect(used()).toBe(1 + 1 + 40);
  });

  it('takes back what a request did not use that had spent all of it', async () => {
    const { desk, store, used } = setUp();
    await decided(desk, 2);
    store.fault = 'dead'; // nothing more comes
    const { charge } = desk.takeNow('k', [19], { leaseTtlMs: 60_000 }) ?? {};
    if (!charge) throw new Error('refused');
    desk.settle(charge, [-5]);
    expect(desk.takeNow('k', [2])).toBeDefined();
    store.fault = 'well';
    await desk.close();
    expect(used()).toBe(2 + 14 + 2);
  });

  it('may be spent beside the limit: what was in hand when the window began', async () => {
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
});
