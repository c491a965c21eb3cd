import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { closeness, type Occurrence } from './closeness.js';

const at = (position: number, words: number): Occurrence => ({ position, words });

describe('closeness', () => {
  it('is the weight of the words that stand within the width, as a share of all', () => {
    const weights = [3, 1];
    expect(closeness([at(0, 0b01), at(4, 0b10)], weights, 5)).toBe(1);
    expect(closeness([at(0, 0b01), at(5, 0b10)], weights, 5)).toBe(0.75);
    expect(closeness([at(5, 0b10)], weights, 5)).toBe(0.25);
  });

  it('counts a word once, however often it stands there', () => {
    expect(closeness([at(0, 1), at(1, 1), at(2, 1)], [1, 1], 16)).toBe(0.5);
  });

  it('is nothing without words or weights', () => {
    expect(closeness([], [1], 16)).toBe(0);
    expect(closeness([at(0, 1)], [], 16)).toBe(0);
  });

  it('agrees with looking at every stretch', () => {
    const positions = fc.uniqueArray(fc.nat(60), { maxLength: 20 }).map((all) => all.toSorted((a, b) => a - b));
    fc.assert(
      fc.property(
        positions,
        fc.array(fc.integer({ min: 1, max: 15 })),
        fc.integer({ min: 1, max: 20 }),
        (all, bits, width) => {
          const occurrences = all.map((position, index) => at(position, bits[index % Math.max(1, bits.length)] ?? 1));
          const weights = [1, 2, 3, 4];
          const stretches = Array.from({ length: 61 }, (_, from) =>
            occurrences
              .filter(({ position }) => position >= from && position < from + width)
              .reduce((held, { words }) => held | words, 0),
          );
          const worth = (held: number): number =>
            weights.reduce((sum, weight, bit) => sum + (held & (1 << bit) ? weight : 0), 0);
          expect(closeness(occurrences, weights, width)).toBe(Math.max(...stretches.map(worth)) / 10);
        },
      ),
    );
  });
});
