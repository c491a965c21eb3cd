import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Capacity } from './capacity.js';
import type { Load } from './load.js';
import { packed } from './packing.js';

type Parcel = Load<number, number>;

const unlimited = Number.POSITIVE_INFINITY;

function parcel(item: number, weight: number, bytes = 0): Parcel {
  return {
    item,
    key: item,
    weight,
    bytes,
    arrival: { at: 0 },
    context: undefined,
    resolve: () => {},
    reject: () => {},
    watch: undefined,
    isOver: false,
    followers: undefined,
  };
}

const parcels = (weights: readonly number[]): Parcel[] => weights.map((weight, item) => parcel(item, weight));

function limits(maxItems: number, maxWeight = unlimited, maxBytes = unlimited): Capacity {
  return new Capacity({ maxItems, maxWeight, maxBytes, isWeighed: true });
}

const total = (loads: Iterable<Parcel>, of: 'weight' | 'bytes'): number =>
  [...loads].reduce((sum, load) => sum + load[of], 0);

/** The most that fits beside the seed, by looking at all choices. */
function bestWeight(front: readonly Parcel[], seed: Parcel, { maxItems, maxWeight, maxBytes }: Capacity): number {
  const others = front.filter((load) => load !== seed);
  let best = 0;
  for (let choice = 0; choice < 2 ** others.length; choice++) {
    const chosen = [seed, ...others.filter((_, bit) => choice & (1 << bit))];
    const weight = total(chosen, 'weight');
    if (chosen.length <= maxItems && weight <= maxWeight && total(chosen, 'bytes') <= maxBytes) {
      best = Math.max(best, weight);
    }
  }
  return best;
}

describe('a batch out of the front of a line', () => {
  it('is those who came first where only their number counts', () => {
    const front = parcels([5, 1, 9, 2]);
    expect([...packed(front, undefined, limits(3))].map(({ item }) => item)).toEqual([0, 1, 2]);
  });

  it('has whoever is pressed, even from behind', () => {
    const front = parcels([0, 0, 0, 0]);
    expect([...packed(front, front[3], limits(3))].map(({ item }) => item)).toEqual([3, 0, 1]);
  });

  it('takes the large first, so that the small fill what is left', () => {
    const chosen = packed(parcels([1, 2, 3, 6, 4]), undefined, limits(10, 10));
    expect([...chosen].map(({ weight }) => weight)).toEqual([1, 6, 3]);
  });

  it('is empty where nobody is there', () => {
    expect(packed([], undefined, limits(3)).size).toBe(0);
  });

  it('is the oldest alone where that is above what was learned to fit', () => {
    expect([...packed(parcels([50, 1, 1]), undefined, limits(10, 10))].map(({ item }) => item)).toEqual([0]);
  });

  const sizes = fc.array(fc.tuple(fc.nat(12), fc.nat(12)), { minLength: 1, maxLength: 10 });

  it('is never above a limit, has its seed, leaves out nothing that still fits, and is close to the best', () =>
    fc.assert(
      fc.property(
        sizes,
        fc.option(fc.nat(9)),
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 12, max: 30 }),
        fc.oneof(fc.constant(unlimited), fc.integer({ min: 12, max: 30 })),
        (drawn, pressing, maxItems, maxWeight, maxBytes) => {
          const front = drawn.map(([weight, bytes], item) => parcel(item, weight, bytes));
          const capacity = limits(maxItems, maxWeight, maxBytes);
          const pressed = pressing === null ? undefined : front[pressing % front.length];
          const seed = (pressed ?? front[0]) as Parcel;
          const chosen = packed(front, pressed, capacity);

          const [weight, bytes] = [total(chosen, 'weight'), total(chosen, 'bytes')];
          expect(chosen.has(seed)).toBe(true);
          expect(chosen.size).toBeLessThanOrEqual(maxItems);
          expect(weight).toBeLessThanOrEqual(maxWeight);
          expect(bytes).toBeLessThanOrEqual(maxBytes);
          for (const load of front) {
            const fits = chosen.size < maxItems && weight + load.weight <= maxWeight && bytes + load.bytes <= maxBytes;
            expect(fits && !chosen.has(load)).toBe(false);
          }
          // Greedy by weight fills half of what is possible, or all that there is (maxBytes and maxItems aside).
          if (maxBytes === unlimited && maxItems >= front.length) {
            expect(2 * weight).toBeGreaterThanOrEqual(bestWeight(front, seed, capacity));
          }
        },
      ),
      { numRuns: 500 },
    ));
});
