import { describe, expect, it } from 'vitest';
import { runInContext } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';
import { PhysicalCall } from './batch-call.js';
import { type BatcherOptions, createBatcher } from './index.js';
import { Lanes } from './lanes.js';
import { Followers, type Load } from './load.js';
import { resolveOptions } from './options.js';

/** A batcher whose calls take as long as the test says, on a clock of its own. */
function setUp<Item>(options: BatcherOptions<Item, Item> = {}) {
  const clock = createFakeClock();
  const sent: (readonly Item[])[] = [];
  const ends: (() => void)[] = [];
  const batcher = createBatcher<Item, Item>(
    (items) => {
      sent.push(items);
      return new Promise((resolve) => ends.push(() => resolve([...items])));
    },
    { clock, ...options },
  );
  return { clock, sent, ends, batcher };
}

describe('closing', () => {
  it('sends at once what has come in the turn in which somebody else has left', async () => {
    const { clock, sent, ends, batcher } = setUp<number>({ window: '1h' });
    const loads = [batcher.load(0)];
    await clock.settle();
    const leaving = new AbortController();
    const left = batcher.load(1, { signal: leaving.signal });
    leaving.abort(new Error('left'));
    await expect(left).rejects.toThrow('left');
    loads.push(batcher.load(2));
    await clock.settle();

    const closing = batcher.close();
    await clock.settle();
    expect(sent).toEqual([[0], [2]]);
    for (const end of ends) end();
    await closing;
    expect(await Promise.all(loads)).toEqual([0, 2]);
    expect(clock.pending).toBe(0);
  });

  it('sends at once what has come in the turn in which all before it went', async () => {
    const { clock, sent, ends, batcher } = setUp<number>({ window: '1h', maxItems: 2 });
    const loads = [batcher.load(0)];
    await clock.settle();
    loads.push(batcher.load(1), batcher.load(2));
    ends[0]?.();
    await loads[0]; // still the same turn, in which the end of a call has sent the other two
    expect(sent).toEqual([[0], [1, 2]]);
    loads.push(batcher.load(3));
    await clock.settle();

    const closing = batcher.close();
    await clock.settle();
    expect(sent).toEqual([[0], [1, 2], [3]]);
    for (const end of ends) end();
    await closing;
    expect(await Promise.all(loads)).toEqual([0, 1, 2, 3]);
    expect(clock.pending).toBe(0);
  });
});

describe('many calls in one turn', () => {
  it('all go, however many', async () => {
    const many = 20_000;
    const batcher = createBatcher<number, number>((items) => [...items], { maxItems: 1, maxConcurrent: many });
    const items = Array.from({ length: many }, (_, item) => item);
    expect(await batcher.loadMany(items)).toEqual(items);
    expect(batcher.stats().batches).toBe(many);
  });
});

describe('whoever came first', () => {
  it('goes with the next batch but one, though others are always more urgent and leave no room', async () => {
    const { clock, sent, ends, batcher } = setUp<{ readonly name: string; readonly weight: number }>({
      weight: ({ weight }) => weight,
      maxWeight: 10,
      maxConcurrent: 1,
    });
    const answerNext = async (): Promise<void> => {
      await clock.advance(100);
      ends.shift()?.();
      await clock.settle();
    };
    const urgent = (): void => {
      const name = `urgent ${clock.now()}`;
      const loads = [4, 4].map((weight) =>
        runInContext({ deadline: clock.now() + 150 }, () => batcher.load({ name, weight })),
      );
      for (const load of loads) load.catch(() => {});
    };
    for (const weight of [1, 1]) {
      void batcher.load({ name: 'warm', weight });
      await clock.settle();
      if (weight === 1) await answerNext();
    }
    void batcher.load({ name: 'busy', weight: 10 });
    await clock.settle();
    void batcher.load({ name: 'large', weight: 10 });
    sent.length = 0;
    for (let turn = 0; turn < 3; turn++) {
      urgent();
      await answerNext();
    }
    expect(sent.map((items) => items[0]?.name)).toContain('large');
  });
});

describe('those who leave one after the other', () => {
  const many = 1_000;
  let looks = 0;
  const loads = (): (Load<number, number> & { hasLeft: boolean })[] =>
    Array.from({ length: many }, (_, item) => ({
      item,
      key: item,
      weight: 0,
      bytes: 0,
      arrival: { at: 0 },
      context: undefined,
      resolve: () => {},
      reject: () => {},
      watch: undefined,
      followers: undefined,
      hasLeft: false,
      get isOver() {
        looks++;
        return this.hasLeft;
      },
    }));

  it('are each looked at a few times in all, behind a leader', () => {
    const followers = new Followers<number, number>();
    const all = loads();
    followers.all.push(...all);
    looks = 0;
    for (const load of all) {
      expect(followers.isAnyWaiting).toBe(true);
      load.hasLeft = true;
    }
    expect(followers.isAnyWaiting).toBe(false);
    expect(looks).toBeLessThan(3 * many);
  });

  it('are each looked at a few times in all, in a call, which is aborted with the last', () => {
    const clock = createFakeClock();
    const lanes = new Lanes<number, number, number>(resolveOptions({ clock }), {
      hasKeys: true,
      lost: () => {},
      joined: () => {},
    });
    const all = loads();
    const batch = { group: lanes.common, loads: all, trigger: 'full', attempt: 1 } as const;
    const call = new PhysicalCall<number, number>(batch, { clock, answer: () => {}, fail: () => {}, ended: () => {} });
    looks = 0;
    for (const load of all) {
      expect(call.signal.aborted).toBe(false);
      load.hasLeft = true;
      call.left(load, new Error(`left ${load.item}`));
    }
    expect(call.signal.reason).toMatchObject({ message: `left ${many - 1}` });
    expect(looks).toBeLessThan(4 * many);
  });
});

describe('one tenant’s bad items', () => {
  it('hold nobody else up: what goes on after a failure takes turns with what others ask for', async () => {
    const clock = createFakeClock();
    const batcher = createBatcher<number, number>(
      async (items) => {
        await new Promise<void>((resolve) => void clock.schedule(10, resolve));
        if (items.some((item) => item < 0)) throw Object.assign(new Error('bad'), { status: 400 });
        return [...items];
      },
      { clock, maxConcurrent: 2 },
    );
    const bad = Array.from({ length: 64 }, (_, item) => -1 - item);
    const failed = runInContext({ tenant: 'a' }, () => batcher.loadSettled(bad));
    await clock.advance(35); // by now more parts wait than there are places
    const began = clock.now();
    let tookMs = Number.NaN;
    const good = runInContext({ tenant: 'b' }, () => batcher.load(1)).then(() => {
      tookMs = clock.now() - began;
    });
    await clock.advance(2_000);
    await Promise.all([failed, good]);
    expect(batcher.stats().splits).toBeGreaterThan(100);
    expect(tookMs).toBeLessThanOrEqual(20);
    expect(clock.pending).toBe(0);
  });
});
