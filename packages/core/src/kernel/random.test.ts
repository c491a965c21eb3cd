import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom, systemRandom } from './index.js';

const draw = (seed: number, count: number): number[] => {
  const random = seededRandom(seed);
  return Array.from({ length: count }, random);
};

describe('seededRandom', () => {
  it('gives the same numbers for the same seed, whatever other sources do in between', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer(), (seed, other) => {
        const first = seededRandom(seed);
        const second = seededRandom(seed);
        const noise = seededRandom(other);
        for (let turn = 0; turn < 20; turn++) {
          noise();
          expect(first()).toBe(second());
        }
      }),
    );
  });

  it('gives the numbers of splitmix32 and sfc32 as published, reckoned by another program', () => {
    expect(draw(1, 4).map((value) => value * 2 ** 32)).toEqual([1930539107, 2003999907, 2883482671, 4206869851]);
  });

  it('stays in [0, 1)', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        for (const value of draw(seed, 100)) expect(value >= 0 && value < 1).toBe(true);
      }),
    );
  });

  it('differs between neighbouring seeds from the first number on', () => {
    const firsts = new Set(Array.from({ length: 10_000 }, (_, seed) => seededRandom(seed)()));
    expect(firsts.size).toBeGreaterThan(9_990);
  });

  it.each([
    ['along one seed', (count: number) => draw(20260101, count)],
    ['across seeds', (count: number) => Array.from({ length: count }, (_, seed) => seededRandom(seed)())],
  ])('spreads evenly %s', (_, numbers) => {
    const count = 64_000;
    const cells = new Array<number>(64).fill(0);
    for (const value of numbers(count)) {
      const cell = Math.floor(value * cells.length);
      cells[cell] = (cells[cell] ?? 0) + 1;
    }
    const expected = count / cells.length;
    const chiSquared = cells.reduce((sum, observed) => sum + (observed - expected) ** 2 / expected, 0);
    expect(chiSquared).toBeLessThan(113); // 63 degrees of freedom: one honest source in ten thousand exceeds it
  });

  it('draws pairs that do not hang together', () => {
    const values = draw(7, 20_000).map((value) => value - 0.5);
    const products = values.slice(1).map((value, index) => value * (values[index] ?? 0));
    const correlation = (12 * products.reduce((sum, product) => sum + product, 0)) / products.length;
    expect(Math.abs(correlation)).toBeLessThan(0.03); // four standard deviations
  });
});

describe('systemRandom', () => {
  it('stays in [0, 1)', () => {
    const value = systemRandom();
    expect(value >= 0 && value < 1).toBe(true);
  });
});
