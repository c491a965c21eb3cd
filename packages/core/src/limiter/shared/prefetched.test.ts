import { describe, expect, it } from 'vitest';
import { Prefetched } from './prefetched.js';

const charge = (at: number) => ({ at, generation: 'g', moment: { now: at, wall: 0 } });

describe('parts of what was taken in advance', () => {
  it('are spent oldest first, and what is left of each goes back to where it was charged', () => {
    const prefetched = new Prefetched(2);
    for (const at of [1, 2, 3]) prefetched.add(charge(at), [10, 5]);
    expect([prefetched.take([12, 1]), prefetched.take([19, 0]), prefetched.left]).toEqual([true, false, [18, 14]]);
    expect(prefetched.empty().map((part) => [part.charge.at, ...part.amounts])).toEqual([
      [1, 0, 4],
      [2, 8, 5],
      [3, 10, 5],
    ]);
    expect([prefetched.left, prefetched.empty()]).toEqual([[0, 0], []]);
  });

  it('are no more than a few, however unevenly they are spent, and none is lost', () => {
    const prefetched = new Prefetched(2);
    for (let at = 1; at <= 100; at++) {
      prefetched.add(charge(at), [10, 1]);
      expect(prefetched.take([10, 0])).toBe(true);
    }
    const parts = prefetched.empty();
    expect([parts.length, parts.reduce((sum, { amounts }) => sum + (amounts[1] ?? 0), 0)]).toEqual([4, 100]);
    expect(parts[0]?.charge.at).toBe(1); // the oldest: what was charged first counts no more first
  });
});
