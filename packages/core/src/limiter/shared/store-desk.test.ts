import { describe, expect, it } from 'vitest';
import { deskOn, SimulatedLimits, type StoreFault, windowOf } from '../../../test/limiter-stores.js';
import { createFakeClock } from '../../testing/index.js';
import type { DeskAnswer } from '../desk.js';
import type { Dimension } from '../dimensions.js';
import type { StoreDeskOptions } from './store-desk.js';

const dimensions = [windowOf(10)];
const concurrency: Dimension = { kind: 'concurrency', name: 'concurrency', unit: 'concurrency', limit: 3 };

function setUp(options: Partial<StoreDeskOptions> = {}) {
  const clock = createFakeClock();
  const limits = new SimulatedLimits(clock);
  const first = deskOn(limits, { dimensions, ...options });
  const another = () => deskOn(limits, { dimensions, ...options });
  return { clock, limits, another, ...first };
}

/** In a few words: who decided, and what. */
function said({ verdict, decidedBy }: DeskAnswer): string {
  return `${decidedBy} ${verdict.ok ? 'yes' : `no ${Math.ceil(verdict.waitMs)}`}`;
}

describe('a desk over a store', () => {
  it('lets the store decide, for all processes that share it', async () => {
    const { desk, another } = setUp();
    const other = another();
    const answers: string[] = [];
    for (let index = 0; index < 6; index++) {
      for (const each of [desk, other.desk]) answers.push(said(await each.take('k', [1], {})));
    }
    expect(answers).toEqual([...Array<string>(10).fill('store yes'), 'store no 60000', 'store no 60000']);
  });

  it('takes a refusal for an answer, never for a fault', async () => {
    const { desk, log } = setUp();
    for (let index = 0; index < 40; index++) await desk.take('k', [1], {});
    expect([said(await desk.take('k', [1], {})), log]).toEqual(['store no 60000', []]);
  });

  it.each<[StoreFault, number]>([
    ['dead', 0],
    ['frozen', 50],
    ['mute', 50],
    [51, 50],
    [{ slowMs: 51 }, 50],
  ])(
    'whose store is %j has its answer after %i ms, and after its breaker has opened at once',
    async (fault, afterMs) => {
      const { desk, store, clock, log } = setUp();
      store.fault = fault;
      const decided: [string, number][] = [];
      for (let index = 0; index < 20; index++) {
        const began = clock.now();
        const answer = desk.take('k', [0.1], {}).then((each) => decided.push([each.decidedBy, clock.now() - began]));
        for (let waits = 0; waits < 2; waits++) await clock.advance(25);
        await answer;
      }
      const opened = decided.findIndex(([, ms]) => ms === 0);
      expect(new Set(decided.map(([by]) => by))).toEqual(new Set(['local']));
      expect(Math.max(...decided.map(([, ms]) => ms))).toBe(afterMs);
      if (afterMs > 0) expect(opened).toBeLessThanOrEqual(5);
      expect(log.filter((each) => each === 'open')).toHaveLength(1);
      expect(store.made.filter((each) => each === 'take').length).toBeLessThanOrEqual(5);
    },
  );

  it('asks again after the pause, once at a time, and lets the store decide when it answers', async () => {
    const { desk, store, clock, log } = setUp();
    store.fault = 'dead';
    for (let index = 0; index < 5; index++) await desk.take('k', [1], {});
    await desk.close(); // no heartbeats: the next take is what tries it
    store.made.length = 0;
    store.fault = 20;
    await clock.advance(1_000);
    const [probe, beside] = [desk.take('k', [1], {}), desk.take('k', [1], {})];
    await clock.advance(20);
    expect([said(await probe), said(await beside)]).toEqual(['store yes', 'local yes']);
    expect(store.made).toEqual(['take']);
    expect(log.slice(-4)).toEqual(['open', 'half-open', 'closed', 'told 1']);
  });

  it('gives back at once what comes after its deadline, and what was decided meanwhile is told', async () => {
    const { desk, store, clock, limits } = setUp();
    await desk.take('k', [1], {});
    store.fault = 80;
    const take = desk.take('k', [4], {});
    await clock.advance(60);
    expect(said(await take)).toBe('local yes');
    expect(limits.used('test', 'k')).toEqual([5]);
    store.fault = 'well';
    await clock.advance(20);
    expect(store.made).toEqual(['peers', 'take', 'take', 'settle -4']);
    expect(limits.used('test', 'k')).toEqual([1]);
    await clock.advance(2_000);
    expect(limits.used('test', 'k')).toEqual([5]);
  });

  it('gives back what comes late though the store is left alone by then, places too', async () => {
    const { desk, store, clock, limits } = setUp({ dimensions: [...dimensions, concurrency], onStoreError: 'refuse' });
    store.fault = 'frozen';
    for (let index = 0; index < 5; index++) {
      void desk.take('k', [1, 1], { leaseTtlMs: 60_000 });
      await clock.advance(50);
    }
    await clock.advance(100);
    store.thaw();
    await clock.settle();
    expect(store.made.slice(-3)).toEqual(Array(3).fill('settle -1,0')); // a limit of 3 places let no more in
    expect(limits.used('test', 'k')).toEqual([0, 0]);
  });

  it.each([
    ['allow', 'none yes', false],
    ['refuse', 'none no', true],
  ] as const)('without its store, told to %s, says so, and nobody counts', async (onStoreError, expected, waits) => {
    const { desk, store, clock, limits } = setUp({ onStoreError });
    store.fault = 'dead';
    for (let index = 0; index < 30; index++) {
      const answer = await desk.take('k', [1], {});
      expect(said(answer).startsWith(expected)).toBe(true);
      expect([answer.isUnavailable, answer.charge, answer.verdict.remaining]).toEqual([true, undefined, [0]]);
      expect(answer.verdict.waitMs > 0).toBe(waits);
    }
    store.fault = 'well';
    await clock.advance(5_000);
    expect(limits.used('test', 'k')).toEqual([]);
  });

  it('says how long its store is left alone', async () => {
    const { desk, store, clock } = setUp({ onStoreError: 'refuse' });
    store.fault = 'dead';
    for (let index = 0; index < 5; index++) await desk.take('k', [1], {});
    await clock.advance(400);
    expect(said(await desk.take('k', [1], {}))).toMatch(/^none no 60[01]$/);
  });

  it('settles what the store has charged, to the last unit, and owes what it could not tell', async () => {
    const { desk, store, clock, limits } = setUp();
    const [one, two, three] = [
      await desk.take('k', [2], {}),
      await desk.take('k', [2], {}),
      await desk.take('k', [2], {}),
    ];
    if (!one.charge || !two.charge || !three.charge) throw new Error('refused');
    desk.settle(one.charge, [-1.5]);
    desk.settle(two.charge, [1]);
    await clock.settle();
    expect(limits.used('test', 'k')).toEqual([5.5]);
    store.fault = 'dead';
    desk.settle(three.charge, [2]);
    await clock.settle();
    store.fault = 'well';
    expect(limits.used('test', 'k')).toEqual([5.5]);
    await clock.advance(2_000);
    expect(limits.used('test', 'k')).toEqual([7.5]);
  });

  it('gives each process its share of the places while the store is away, those it has included', async () => {
    const { desk, store, clock, another } = setUp({ dimensions: [concurrency] });
    const other = another();
    const take = (each: typeof desk) => each.take('k', [1], { leaseTtlMs: 10_000 });
    const [mine] = [await take(desk), await take(other.desk)];
    await clock.advance(3_000);
    store.fault = 'dead';
    expect(said(await take(desk))).toBe('local no 7000');
    if (mine.charge) desk.settle(mine.charge, [0]);
    const local = await take(desk);
    expect([said(local), said(await take(desk))]).toEqual(['local yes', 'local no 10000']);
    if (local.charge) desk.settle(local.charge, [0]);
    expect(said(await take(desk))).toBe('local yes');
  });

  it('gives a store that has lost everything back what it has had, once', async () => {
    const { desk, limits, another } = setUp();
    const other = another();
    for (let index = 0; index < 4; index++) await desk.take('k', [1], {});
    const kept = await other.desk.take('k', [3], {});
    if (kept.charge) other.desk.settle(kept.charge, [-1]);
    limits.loseEverything();
    await desk.take('k', [1], {});
    expect(limits.used('test', 'k')).toEqual([5]);
    await other.desk.take('k', [1], {});
    await other.desk.take('k', [1], {});
    await desk.take('k', [1], {});
    expect(limits.used('test', 'k')).toEqual([10]);
    expect(said(await desk.take('k', [1], {}))).toBe('store no 60000');
  });

  it('tells what it knows without asking', async () => {
    const { desk, store, clock } = setUp();
    for (let index = 0; index < 8; index++) await desk.take('k', [1], {});
    await clock.advance(1_000);
    store.made.length = 0;
    expect(desk.look('k', [2])).toMatchObject({ ok: true, remaining: [2], resetMs: [59_000] });
    expect(desk.look('k', [3])).toMatchObject({ ok: false, waitMs: 59_000 });
    expect(desk.look('else', [10])).toMatchObject({ ok: true, remaining: [10], resetMs: [0] });
    expect(desk.standing()).toEqual({ keys: 1, used: [8], store: { name: 'simulated', state: 'closed', peers: 1 } });
    await clock.advance(59_000);
    expect(desk.look('k', [10])).toMatchObject({ ok: true, remaining: [10] });
    expect(desk.standing().used).toEqual([0]);
    expect(store.made.filter((each) => each !== 'peers')).toEqual([]);
  });

  it('remembers no more keys than it may, and leaves no timer behind', async () => {
    const { desk, store, clock } = setUp({ maxKeys: 100, prefetch: 0.2 });
    for (let index = 0; index < 1_000; index++) {
      if (index % 200 === 100) store.fault = 'frozen';
      if (index % 200 === 0) store.thaw();
      void desk.take(`k${index % 500}`, [1], { leaseTtlMs: 1_000 });
      if (index % 5 === 0) await clock.advance(10);
    }
    expect(desk.standing().keys).toBe(100);
    const closing = desk.close();
    await clock.advance(50);
    await closing;
    store.thaw();
    await clock.advance(50);
    expect(clock.pending).toBe(0);
  });

  it('ends its heartbeats when nobody asks, and closes nothing that it was given', async () => {
    const { desk, store, clock } = setUp();
    await desk.take('k', [1], {});
    await clock.advance(30_000);
    expect(store.made.filter((each) => each === 'peers').length).toBeLessThanOrEqual(12);
    expect(clock.pending).toBe(0);
    await desk.close();
    expect(store.made).not.toContain('close');
  });
});
