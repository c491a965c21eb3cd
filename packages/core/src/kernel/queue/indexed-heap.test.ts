import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IndexedHeap } from './indexed-heap.js';

class Item {
  readonly places = [-1, -1];
  readonly name: number;
  rank: number;

  constructor(name: number, rank = 0) {
    this.name = name;
    this.rank = rank;
  }
}

const isBefore = (a: Item, b: Item): boolean => a.rank < b.rank || (a.rank === b.rank && a.name < b.name);
const heapOf = (ranks: readonly number[]): IndexedHeap<Item> => {
  const heap = new IndexedHeap<Item>(isBefore);
  for (const [name, rank] of ranks.entries()) heap.add(new Item(name, rank));
  return heap;
};

describe('IndexedHeap', () => {
  it('has the first at hand, as a sorted list does, whatever is added, removed and changed', () => {
    const name = fc.nat({ max: 19 });
    const rank = fc.nat({ max: 9 });
    const command = fc.oneof(
      { weight: 4, arbitrary: fc.record({ set: name, rank }) },
      { weight: 2, arbitrary: fc.record({ remove: name }) },
      { weight: 1, arbitrary: fc.constant({ remove: -1 }) },
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 100, size: 'max' }), (commands) => {
        const heap = new IndexedHeap<Item>(isBefore, 1);
        const items = Array.from({ length: 20 }, (_, index) => new Item(index));
        const inside = new Set<Item>();
        for (const each of commands) {
          const item = 'set' in each ? items[each.set] : (items[each.remove] ?? heap.first);
          if (item === undefined) continue;
          if ('set' in each) {
            item.rank = each.rank;
            if (inside.has(item)) heap.update(item);
            else heap.add(item);
            inside.add(item);
          } else {
            heap.remove(item);
            inside.delete(item);
          }
          expect(heap.size).toBe(inside.size);
          expect(heap.first).toBe([...inside].sort((a, b) => a.rank - b.rank || a.name - b.name)[0]);
          expect(items.filter((other) => heap.has(other) !== inside.has(other) || other.places[0] !== -1)).toEqual([]);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('sums up the first few exactly, however many there are', () => {
    const ranks = fc.array(fc.nat({ max: 1_000 }), { minLength: 1, maxLength: 300, size: 'max' });
    fc.assert(
      fc.property(ranks, fc.nat({ max: 31 }), (all, few) => {
        const heap = heapOf(all);
        const bound = all.toSorted((a, b) => a - b)[few] ?? Number.POSITIVE_INFINITY;
        const before = all.filter((rank) => rank < bound);
        const sum = heap.sumWhile(
          ({ rank }) => rank < bound,
          ({ rank }) => rank,
        );
        expect(sum).toBe(before.reduce((total, rank) => total + rank, 0));
      }),
    );
  });

  it.each([0.1, 0.25, 0.5, 0.9, 1])('estimates the sum of the first %f of ten thousand', (share) => {
    // A permutation, so that the order in which they came says nothing.
    const heap = heapOf(Array.from({ length: 10_000 }, (_, index) => (index * 7_919) % 10_000));
    const sum = heap.sumWhile(
      ({ rank }) => rank < share * 10_000,
      () => 1,
    );
    expect(Math.abs(sum - share * 10_000)).toBeLessThan(2_000);
  });
});
