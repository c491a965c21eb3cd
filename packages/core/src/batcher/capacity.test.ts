import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BatchSize, Capacity } from './capacity.js';

const unlimited = Number.POSITIVE_INFINITY;

const counting = (maxItems = 32): Capacity =>
  new Capacity({ maxItems, maxWeight: unlimited, maxBytes: unlimited, isWeighed: false });
const weighing = (maxWeight = 1_000, maxItems = 32): Capacity =>
  new Capacity({ maxItems, maxWeight, maxBytes: unlimited, isWeighed: true });

const size = (items: number, weight = 0, bytes = 0): BatchSize => ({ items, weight, bytes });

/** Full batches, one after the other, against a backend that takes no more than `backend`; the cap after each. */
function run(capacity: Capacity, backend: number, batches: number): { caps: number[]; failures: number } {
  const caps: number[] = [];
  let failures = 0;
  /** A failed batch is halved until its parts go well. */
  const send = (items: number): boolean => {
    if (items <= backend) {
      capacity.wentWell(size(items));
      return true;
    }
    failures++;
    const halves = [Math.ceil(items / 2), Math.floor(items / 2)];
    if (halves.map(send).every(Boolean)) capacity.tooMuch(size(items), size(Math.ceil(items / 2)));
    return false;
  };
  for (let batch = 0; batch < batches; batch++) {
    send(capacity.maxItems);
    caps.push(capacity.maxItems);
  }
  return { caps, failures };
}

describe('what goes into one call', () => {
  it('is what the options say: up to it, full from it on, exceeded above it', () => {
    const capacity = new Capacity({ maxItems: 4, maxWeight: 100, maxBytes: 1_000, isWeighed: true });
    for (const [fits, over] of [
      [size(4), size(5)],
      [size(1, 100), size(1, 100.5)],
      [size(1, 0, 1_000), size(1, 0, 1_001)],
    ] as const) {
      expect([capacity.isExceededBy(fits), capacity.isFilledBy(fits)]).toEqual([false, true]);
      expect([capacity.isExceededBy(over), capacity.isFilledBy(over)]).toEqual([true, true]);
    }
    expect(capacity.isFilledBy(size(3, 99, 999))).toBe(false);
    expect(capacity.isOfNumberOnly).toBe(false);
    expect(counting().isOfNumberOnly).toBe(true);
  });

  it('is full by the limit that it is closest to', () => {
    const capacity = new Capacity({ maxItems: 4, maxWeight: 100, maxBytes: 1_000, isWeighed: true });
    expect(
      [size(1, 10, 900), size(1, 80, 10), size(3, 1, 1), size(1, 500)].map((each) => capacity.fillOf(each)),
    ).toEqual([0.9, 0.8, 0.75, 1]);
  });
});

describe('a cap that an error states', () => {
  it('holds from then on, the lowest of them, and never above the options', () => {
    const capacity = counting(32);
    capacity.state({ maxItems: 16 }, size(32));
    expect(capacity.maxItems).toBe(16);
    capacity.state({ maxItems: 20 }, size(32));
    expect(capacity.maxItems).toBe(16);
    capacity.state({ maxItems: 8 }, size(16));
    for (let batch = 0; batch < 1_000; batch++) capacity.wentWell(size(8));
    expect(capacity.maxItems).toBe(8);
  });

  it('counts where it is less than what was sent: else it is about one item', () => {
    const capacity = weighing(1_000);
    capacity.state({ maxItems: 2_048, maxWeight: 8_192 }, size(32, 900));
    capacity.state({ maxItems: 32, maxWeight: 900 }, size(32, 900));
    expect([capacity.maxItems, capacity.maxWeight]).toEqual([32, 1_000]);
    capacity.state({ maxWeight: 512 }, size(32, 900));
    expect([capacity.maxItems, capacity.maxWeight]).toEqual([32, 512]);
    capacity.state({ maxItems: 10 }, size(5, 500));
    expect(capacity.maxItems).toBe(32);
  });

  it.each([0, -1, Number.NaN])('is none where it is %s', (cap) => {
    const capacity = weighing();
    capacity.state({ maxItems: cap, maxWeight: cap }, size(32, 900));
    expect([capacity.maxItems, capacity.maxWeight]).toEqual([32, 1_000]);
  });

  it('of weights means nothing where nothing is weighed', () => {
    const capacity = counting();
    capacity.state({ maxWeight: 0.5 }, size(32));
    expect(capacity.isOfNumberOnly).toBe(true);
  });
});

describe('a cap that only shows', () => {
  it('is the largest part that went well', () => {
    const capacity = counting();
    capacity.tooMuch(size(32), size(16));
    expect(capacity.maxItems).toBe(16);
    const weights = weighing();
    weights.tooMuch(size(20, 900), size(11, 480));
    expect([weights.maxItems, weights.maxWeight]).toEqual([32, 480]);
  });

  it('is not lowered by what was sent before it was learned', () => {
    const capacity = counting();
    capacity.tooMuch(size(32), size(16));
    capacity.tooMuch(size(32), size(8));
    expect(capacity.maxItems).toBe(16);
  });

  it('is lowered where what had gone well does not any more', () => {
    const capacity = counting();
    capacity.tooMuch(size(32), size(16));
    capacity.tooMuch(size(16), size(8));
    expect(capacity.maxItems).toBe(8);
  });

  it('is at least one item, and nothing where the parts weigh nothing', () => {
    const capacity = weighing();
    capacity.tooMuch(size(4, 0), size(2, 0));
    expect(capacity.maxWeight).toBe(1_000);
    expect(capacity.fillOf(size(4, 0))).toBe(4 / 32);
    const single = counting();
    single.tooMuch(size(2), size(1));
    expect(single.maxItems).toBe(1);
    for (let batch = 0; batch < 10; batch++) single.wentWell(size(1));
    expect(single.maxItems).toBe(2);
  });

  it('is tried out of by a quarter after ten full batches, and taken back to where it was when that fails', () => {
    const capacity = counting();
    capacity.tooMuch(size(32), size(8));
    for (let batch = 0; batch < 9; batch++) capacity.wentWell(size(8));
    capacity.wentWell(size(7));
    expect(capacity.maxItems).toBe(8);
    capacity.wentWell(size(8));
    expect(capacity.maxItems).toBe(10);
    capacity.tooMuch(size(10), size(5));
    expect(capacity.maxItems).toBe(8);
    for (let batch = 0; batch < 19; batch++) capacity.wentWell(size(8));
    expect(capacity.maxItems).toBe(8);
    capacity.wentWell(size(8));
    expect(capacity.maxItems).toBe(10);
  });

  it('is taken back once, however many calls were sent after one rise', () => {
    const capacity = counting();
    capacity.tooMuch(size(32), size(8));
    for (let batch = 0; batch < 10; batch++) capacity.wentWell(size(8));
    for (let failure = 0; failure < 5; failure++) capacity.tooMuch(size(10), size(5));
    for (let batch = 0; batch < 20; batch++) capacity.wentWell(size(8));
    expect(capacity.maxItems).toBe(10);
  });

  it('is grown out of again where the backend has become better, and forgotten', () => {
    const capacity = counting();
    run(capacity, 8, 5);
    expect(capacity.maxItems).toBe(8);
    const { caps, failures } = run(capacity, 32, 200);
    expect(failures).toBe(0);
    expect(caps.at(-1)).toBe(32);
    expect(caps).toEqual(caps.toSorted((a, b) => a - b));
  });

  it('is grown out of though weights seldom add up to it', () => {
    const capacity = weighing(1_000);
    capacity.tooMuch(size(20, 900), size(10, 400));
    for (let batch = 0; batch < 200; batch++) capacity.wentWell(size(10, 0.9 * capacity.maxWeight));
    expect(capacity.maxWeight).toBe(1_000);
  });

  it('is not tried out of by batches that are far from it, though they are full of items', () => {
    const capacity = weighing(1_000);
    capacity.tooMuch(size(20, 900), size(10, 400));
    for (let batch = 0; batch < 200; batch++) capacity.wentWell(size(32, 100));
    expect(capacity.maxWeight).toBe(400);
  });

  it.each([1, 2, 3, 5, 7, 8, 13, 16, 21, 25, 29, 31])(
    'comes close to what a backend takes, which is %i, and fails ever less',
    (backend) => {
      const capacity = counting();
      const first = run(capacity, backend, 500);
      const later = run(capacity, backend, 1_500);
      // A quarter above a whole number of items may be no more than that number.
      expect(Math.min(...later.caps)).toBeGreaterThan(backend / 1.6 - 1);
      expect(Math.max(...later.caps.filter((cap) => cap <= backend))).toBeGreaterThanOrEqual(
        Math.floor(backend / 1.25),
      );
      expect(later.failures).toBeLessThanOrEqual(first.failures);
      expect(later.failures).toBeLessThan(20);
    },
  );

  it('never leaves its bounds, whatever goes well or does not', () =>
    fc.assert(
      fc.property(
        fc.boolean(),
        fc.array(
          fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 40 }), fc.double({ min: 0, max: 2_000, noNaN: true })),
          {
            maxLength: 200,
          },
        ),
        (isWeighed, steps) => {
          const capacity = isWeighed ? weighing() : counting();
          for (const [isGood, items, weight] of steps) {
            if (isGood) capacity.wentWell(size(items, weight));
            else capacity.tooMuch(size(items, weight), size(Math.ceil(items / 2), weight / 2));
            expect(capacity.maxItems).toBeGreaterThanOrEqual(1);
            expect(capacity.maxItems).toBeLessThanOrEqual(32);
            expect(capacity.maxItems % 1).toBe(0);
            expect(capacity.maxWeight).toBeGreaterThan(0);
            expect(capacity.maxWeight).toBeLessThanOrEqual(isWeighed ? 1_000 : unlimited);
            const fill = capacity.fillOf(size(items, weight));
            expect(fill >= 0 && fill <= 1).toBe(true);
          }
        },
      ),
    ));
});
