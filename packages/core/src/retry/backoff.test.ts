import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../kernel/index.js';
import { backoffMs, decorrelatedJitterMs } from './index.js';

describe('decorrelated jitter', () => {
  it('is drawn between the base and three times the delay before, up to the cap', () => {
    expect(decorrelatedJitterMs(0, 100, 30_000, () => 0)).toBe(100);
    expect(decorrelatedJitterMs(0, 100, 30_000, () => 0.5)).toBe(100);
    expect(decorrelatedJitterMs(1_000, 100, 30_000, () => 0)).toBe(100);
    expect(decorrelatedJitterMs(1_000, 100, 30_000, () => 0.5)).toBe(1_550);
    expect(decorrelatedJitterMs(20_000, 100, 30_000, () => 0.9)).toBe(30_000);
  });

  it('stays between the base and the cap however long it goes on, and grows in the mean', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const random = seededRandom(seed);
        let previousMs = 0;
        for (let retries = 0; retries < 200; retries++) {
          previousMs = backoffMs('decorrelated', { retries, previousMs }, 100, 30_000, random);
          expect(previousMs).toBeGreaterThanOrEqual(100);
          expect(previousMs).toBeLessThanOrEqual(30_000);
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe('full jitter', () => {
  it('is drawn between nothing and the doubled step, up to the cap', () => {
    const most = (retries: number): number => backoffMs('full', { retries, previousMs: 5 }, 100, 1_000, () => 1);
    expect([0, 1, 2, 3, 4, 100].map(most)).toEqual([100, 200, 400, 800, 1_000, 1_000]);
    expect(backoffMs('full', { retries: 9, previousMs: 5 }, 100, 1_000, () => 0)).toBe(0);
  });
});
