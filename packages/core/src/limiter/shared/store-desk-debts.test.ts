import { describe, expect, it } from 'vitest';
import { deskOn, SimulatedLimits, windowOf } from '../../../test/limiter-stores.js';
import { createFakeClock } from '../../testing/index.js';
import type { Charge } from '../desk.js';
import type { StoreDesk, StoreDeskOptions } from './store-desk.js';

const minute = 60_000;

function setUp(options: Partial<StoreDeskOptions> = {}) {
  const clock = createFakeClock();
  const limits = new SimulatedLimits(clock);
  const process = deskOn(limits, { dimensions: [windowOf(100, 10 * minute)], ...options });
  const used = (key = 'k'): number => limits.used('test', key)[0] ?? 0;
  return { clock, limits, used, ...process };
}

async function reserved(desk: StoreDesk, amount: number, key = 'k'): Promise<Charge> {
  const { charge } = await desk.take(key, [amount], { leaseTtlMs: minute });
  if (!charge) throw new Error('refused');
  return charge;
}

describe('what was allowed without the store', () => {
  it('goes along with the next request for its key', async () => {
    const { desk, store, used, log, clock } = setUp();
    store.fault = 'dead';
    for (let index = 0; index < 3; index++) await desk.take('k', [2], {});
    store.fault = 'well';
    const { verdict, decidedBy } = await desk.take('k', [1], {});
    expect([decidedBy, verdict.remaining, used(), log.at(-1)]).toEqual(['store', [93], 7, 'told 1']);
    await clock.advance(2_000);
    expect(store.made.filter((each) => each === 'take')).toHaveLength(4);
  });

  it('is told for keys that nobody asks for, a few at a time, in one report', async () => {
    const { desk, store, clock, used, log } = setUp();
    store.fault = 'dead';
    for (let index = 0; index < 20; index++) await desk.take(`k${index}`, [1], {});
    store.fault = 10;
    store.made.length = 0;
    await clock.advance(2_000);
    const calls = (): number => store.made.filter((each) => each === 'take').length;
    while (calls() === 0) await clock.advance(1);
    expect(calls()).toBe(4);
    await clock.advance(60);
    expect([calls(), log.at(-1), used('k0'), used('k19')]).toEqual([20, 'told 20', 1, 1]);
  });

  it('stops being told when the store fails again, and goes on later', async () => {
    const { desk, store, clock, used } = setUp();
    store.fault = 'dead';
    for (let index = 0; index < 40; index++) await desk.take(`k${index}`, [1], {});
    store.fault = 10;
    store.made.length = 0;
    while (!store.made.includes('take')) await clock.advance(1);
    store.fault = 'dead';
    store.made.length = 0;
    await clock.advance(40);
    expect(store.made.filter((each) => each === 'take').length).toBeLessThanOrEqual(4);
    store.fault = 'well';
    await clock.advance(5_000);
    expect(Array.from({ length: 40 }, (_, index) => used(`k${index}`))).toEqual(Array(40).fill(1));
  });

  it('is told when the store comes back long after the last request', async () => {
    const { desk, store, clock, used } = setUp();
    store.fault = 'dead';
    await desk.take('k', [3], {});
    await clock.advance(2 * minute);
    store.fault = 'well';
    await clock.advance(32_000);
    expect(used()).toBe(3);
    await clock.advance(20_000);
    expect(clock.pending).toBe(0);
  });

  it('is forgotten when it counts no more, however long the store is away', async () => {
    const { desk, store, clock, used } = setUp();
    store.fault = 'dead';
    await desk.take('k', [3], {});
    await clock.advance(11 * minute);
    expect(clock.pending).toBe(0);
    store.fault = 'well';
    await clock.advance(30_000); // the longest pause of the breaker
    await desk.take('k', [0], {}); // a heartbeat tries the store first
    await desk.take('k', [1], {});
    expect(used()).toBe(1);
  });

  it('is told on closing', async () => {
    const { desk, store, used, clock } = setUp();
    store.fault = 'dead';
    await desk.take('k', [3], {});
    store.fault = 'well';
    await desk.close();
    expect([used(), clock.pending]).toEqual([3, 0]);
  });

  it('is charged once by a store that is late, and twice at worst by one that never says', async () => {
    for (const [fault, waitMs, most] of [
      [80, 100, 5],
      ['mute', 31_000, 2 * 5 + 1],
    ] as const) {
      const { desk, store, clock, used } = setUp();
      store.fault = 'dead';
      await desk.take('k', [4], {});
      store.fault = fault;
      void desk.take('k', [1], {}); // brings the 4 along, and is decided here
      await clock.advance(10);
      store.fault = 'well';
      await clock.advance(waitMs);
      await clock.advance(2_000);
      await desk.take('k', [0], {});
      expect([fault, used()]).toEqual([fault, most - (fault === 'mute' ? 1 : 0)]);
    }
  });

  it('is less by what comes back before it is told', async () => {
    const { desk, store, used, clock } = setUp();
    store.fault = 'dead';
    const charge = await reserved(desk, 10);
    await reserved(desk, 90);
    expect((await desk.take('k', [1], {})).verdict.ok).toBe(false);
    desk.settle(charge, [-7]);
    expect((await desk.take('k', [7], {})).verdict.ok).toBe(true);
    store.fault = 'well';
    await clock.advance(2_500);
    expect(used()).toBe(100);
  });

  it('is corrected in the store once it was told, both ways', async () => {
    const { desk, store, used, clock } = setUp();
    store.fault = 'dead';
    const [one, two] = [await reserved(desk, 10), await reserved(desk, 10)];
    store.fault = 'well';
    await desk.take('k', [0], {});
    expect(used()).toBe(20);
    desk.settle(one, [-9]);
    desk.settle(two, [5]);
    await clock.settle();
    expect(used()).toBe(16);
  });

  it('keeps what is used beyond it, though it is on its way just then or counts no more', async () => {
    const { desk, store, used, clock } = setUp();
    store.fault = 'dead';
    const [one, two] = [await reserved(desk, 10), await reserved(desk, 10)];
    store.fault = 20;
    void desk.take('k', [0], {});
    desk.settle(one, [-9]);
    desk.settle(two, [5]);
    await clock.advance(2_000);
    expect(used()).toBe(25); // what came back is forgone

    store.fault = 'dead';
    const late = await reserved(desk, 10);
    await clock.advance(11 * minute);
    desk.settle(late, [6]);
    store.fault = 'well';
    await clock.advance(31_000);
    expect(used()).toBe(6);
  });

  it('is told with what came up while its fate was not known', async () => {
    const { desk, store, used, clock } = setUp();
    store.fault = 'dead';
    await desk.take('k', [4], {});
    store.fault = 'frozen';
    void desk.take('k', [2], {});
    await clock.advance(50);
    await clock.advance(29_000);
    store.fault = 'dead';
    await desk.take('k', [1], {});
    await clock.advance(2_000); // now the frozen one counts as lost
    store.fault = 'well';
    await clock.advance(31_000);
    expect(used()).toBe(7);
  });

  it('is told once its call counts as lost, though nobody asks any more', async () => {
    const { desk, store, used, clock } = setUp();
    store.fault = 'dead';
    await desk.take('k', [4], {});
    store.fault = 'frozen';
    void desk.take('k', [1], {});
    await clock.advance(50);
    store.fault = 'well';
    await clock.advance(29_000);
    expect(used()).toBe(1);
    await clock.advance(3_000);
    expect(used()).toBe(5);
  });

  it('counts among what a store that has lost everything is given back', async () => {
    const { desk, store, limits, used, clock } = setUp();
    store.fault = 'dead';
    const charge = await reserved(desk, 4);
    store.fault = 'well';
    await desk.take('k', [1], {});
    desk.settle(charge, [-1]);
    const kept = await reserved(desk, 8);
    store.fault = 31_000;
    desk.settle(kept, [1]); // counts as lost, is told again, and was heard all the same
    store.fault = 'well';
    await clock.advance(40_000);
    limits.loseEverything();
    await desk.take('k', [0], {});
    expect(used()).toBe(4 + 9);
  });

  it('charges refusals as well where they are to be, here and there', async () => {
    const { desk, store, used } = setUp({ penalise: true });
    store.fault = 'dead';
    await desk.take('k', [90], {});
    expect((await desk.take('k', [20], {})).verdict.ok).toBe(false);
    store.fault = 'well';
    expect((await desk.take('k', [1], {})).verdict.ok).toBe(false);
    expect(used()).toBe(111);
  });

  it('keeps the places of calls that last', async () => {
    const places = { kind: 'concurrency', name: 'c', unit: 'concurrency', limit: 1 } as const;
    for (const fault of ['well', 'dead'] as const) {
      const { desk, store, clock } = setUp({ dimensions: [places] });
      store.fault = fault;
      const charge = await reserved(desk, 1);
      await clock.advance(50_000);
      desk.extend(charge, minute);
      expect(charge.expiresAt).toBe(50_000 + minute);
      await clock.advance(50_000);
      expect((await desk.take('k', [1], { leaseTtlMs: 1 })).verdict.ok).toBe(false);
      store.fault = 'dead';
      for (let index = 0; index < 5; index++) await desk.take('else', [1], { leaseTtlMs: 1 });
      const { verdict, decidedBy } = await desk.take('k', [1], { leaseTtlMs: 1 });
      expect([decidedBy, verdict.waitMs]).toEqual(['local', 10_000]);
    }
  });
});

describe('more keys than may be remembered', () => {
  it('cost those that were used least recently, and that owe nothing if there are such', async () => {
    const { desk, store, clock, used } = setUp({ maxKeys: 3 });
    await desk.take('a', [1], {});
    store.fault = 'dead';
    await desk.take('b', [1], {});
    await desk.take('c', [1], {});
    await desk.take('b', [1], {});
    await desk.take('d', [1], {}); // a goes
    expect(desk.look('a', [0]).remaining).toEqual([100]);
    await desk.take('e', [1], {}); // all owe: c goes
    store.fault = 'well';
    await clock.advance(5_000);
    expect([used('a'), used('b'), used('c'), used('d'), used('e')]).toEqual([1, 2, 0, 1, 1]);
    await clock.advance(20_000);
    expect(clock.pending).toBe(0);
  });

  it('spare one that owes for one that does not', async () => {
    const { desk, store, clock, used } = setUp({ maxKeys: 2 });
    store.fault = 'dead';
    await desk.take('owing', [1], {});
    store.fault = 'well';
    await desk.take('a', [1], {});
    await desk.take('b', [1], {});
    await clock.advance(5_000);
    expect([used('owing'), desk.look('a', [0]).remaining]).toEqual([1, [100]]);
  });

  it('give back what was taken in advance for those that go', async () => {
    const { desk, clock, used } = setUp({ maxKeys: 1, prefetch: 0.2 });
    for (let index = 0; index < 5; index++) await desk.take('a', [1], {});
    expect(used('a')).toBe(21);
    await desk.take('b', [1], {});
    await clock.settle();
    expect(used('a')).toBe(5);
  });
});
