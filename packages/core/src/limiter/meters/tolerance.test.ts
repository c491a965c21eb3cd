import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fits, waitUntil } from './tolerance.js';

describe('fits', () => {
  it('allows for the last digits of sums, and for no more', () => {
    expect([fits(0.1, 0.2, 0.3), fits(1, 9, 10), fits(1, 9.000001, 10)]).toEqual([true, true, false]);
  });

  it('lets nothing pass always, and everything where nothing is used and the limit is not 0', () => {
    expect([fits(0, 11, 10), fits(0, 0, 0)]).toEqual([true, true]);
    expect([fits(11, 0, 10), fits(11, 0.001, 10), fits(1, 0, 0)]).toEqual([true, false, false]);
  });
});

describe('waitUntil', () => {
  it('never ends before the instant, nor more than a digit after it', () => {
    const instant = fc.double({ min: 0, max: 2e12, noNaN: true });
    fc.assert(
      fc.property(instant, instant, (one, other) => {
        const [now, until] = [Math.min(one, other), Math.max(one, other)];
        const end = now + waitUntil(until, now);
        expect(end).toBeGreaterThanOrEqual(until);
        expect(end - until).toBeLessThanOrEqual(2 * until * Number.EPSILON);
      }),
      { numRuns: 2_000 },
    );
    expect(waitUntil(5, 8)).toBe(0);
    const [odd, half] = [2 ** 52 + 1, 0.5];
    expect(half + (odd - half), 'the difference alone').toBe(odd - 1);
    expect(half + waitUntil(odd, half)).toBeGreaterThanOrEqual(odd);
  });
});
