import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from './index.js';
import { P2Quantile, RecentQuantile } from './quantile.js';

const finite = fc.double({ min: -1e6, max: 1e6, noNaN: true });
const share = fc.double({ min: 0.05, max: 0.95, noNaN: true });

function fed<Q extends { add(sample: number): void }>(quantile: Q, samples: Iterable<number>): Q {
  for (const sample of samples) quantile.add(sample);
  return quantile;
}

/** Which share of the samples is at or below the value. */
function rankOf(value: number | undefined, samples: readonly number[]): number {
  return samples.filter((sample) => sample <= (value ?? Number.NaN)).length / samples.length;
}

/** How samples are spread, and how far from the rank asked for the estimate may be: it is a heuristic with no bound of its own. */
const shapes: Readonly<Record<string, { readonly of: (u: number) => number; readonly within: number }>> = {
  uniform: { of: (u) => u, within: 0.06 },
  exponential: { of: (u) => -Math.log(1 - u), within: 0.06 },
  'heavy tailed': { of: (u) => (1 - u) ** -0.7, within: 0.15 },
  'two humps': { of: (u) => (u < 0.5 ? u : 100 + u), within: 0.2 },
};

describe('P2Quantile', () => {
  it('is exact for up to five samples', () => {
    fc.assert(
      fc.property(share, fc.array(finite, { minLength: 1, maxLength: 5 }), (q, samples) => {
        const sorted = samples.toSorted((left, right) => left - right);
        expect(fed(new P2Quantile(q), samples).value).toBe(sorted[Math.ceil(q * sorted.length) - 1]);
      }),
    );
  });

  it('stays within what was seen, whatever comes', () => {
    fc.assert(
      fc.property(share, fc.array(finite, { minLength: 1, maxLength: 200 }), (q, samples) => {
        const { value = Number.NaN } = fed(new P2Quantile(q), samples);
        expect(value).toBeGreaterThanOrEqual(Math.min(...samples));
        expect(value).toBeLessThanOrEqual(Math.max(...samples));
      }),
      { numRuns: 500 },
    );
  });

  it.each(Object.entries(shapes))('is near the exact quantile of 1,000 samples that are %s', (_, { of, within }) => {
    fc.assert(
      fc.property(fc.integer(), fc.constantFrom(0.1, 0.5, 0.9, 0.95), (seed, q) => {
        const random = seededRandom(seed);
        const samples = Array.from({ length: 1_000 }, () => of(random()));
        expect(Math.abs(rankOf(fed(new P2Quantile(q), samples).value, samples) - q)).toBeLessThan(within);
      }),
      { seed: 1985 }, // an approximation has no bound: of samples enough, some are further off
    );
  });

  it('is off by less than 1 % of the ranks on average', () => {
    const ranks = Array.from({ length: 100 }, (_, seed) => {
      const random = seededRandom(seed);
      const samples = Array.from({ length: 1_000 }, () => -Math.log(1 - random()));
      return rankOf(fed(new P2Quantile(0.9), samples).value, samples);
    });
    expect(ranks.reduce((sum, rank) => sum + Math.abs(rank - 0.9), 0) / ranks.length).toBeLessThan(0.01);
  });

  it('finds the one value that all samples have', () => {
    expect(fed(new P2Quantile(0.9), Array(1_000).fill(7)).value).toBe(7);
  });

  it('gives the figures of the worked example in the paper (table I)', () => {
    const samples = [
      0.02, 0.15, 0.74, 3.39, 0.83, 22.37, 10.15, 15.43, 38.62, 15.92, 34.6, 10.28, 1.47, 0.4, 0.05, 11.39, 0.27, 0.42,
      0.09, 11.37,
    ];
    expect(fed(new P2Quantile(0.5), samples).value).toBeCloseTo(4.44, 2);
  });

  it('has nothing to say before the first sample, and passes over what is no number', () => {
    const quantile = fed(new P2Quantile(0.9), [Number.NaN, Number.POSITIVE_INFINITY]);
    expect(quantile.value).toBeUndefined();
    expect(fed(quantile, [1, 2, 3, 4, 5, Number.NaN, 6]).count).toBe(6);
  });
});

describe('RecentQuantile', () => {
  it('follows a change of behaviour within twice its memory, both ways', () => {
    const random = seededRandom(1);
    const around = (middle: number) => Array.from({ length: 200 }, () => middle + random());
    const quantile = fed(new RecentQuantile(0.9, 100), around(1_000));
    expect(fed(quantile, around(10)).value).toBeLessThan(12);
    expect(fed(quantile, around(1_000)).value).toBeGreaterThan(999);
  });

  it('is made of at least its memory once it has seen so many, and of less than twice as many', () => {
    const quantile = new RecentQuantile(0.9, 10);
    for (let seen = 1; seen <= 100; seen++) {
      quantile.add(seen);
      expect(quantile.count).toBeGreaterThanOrEqual(Math.min(seen, 10));
      expect(quantile.count).toBeLessThan(20);
    }
  });
});
