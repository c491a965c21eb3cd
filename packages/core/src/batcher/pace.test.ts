import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Pace } from './pace.js';

/** After calls that took as long as is said, and arrivals with these gaps. */
function paceAfter(calls: readonly number[], gaps: readonly number[], windowMs = 50): Pace {
  const pace = new Pace();
  for (const ms of calls) pace.took(ms);
  for (const ms of gaps) pace.arrived(ms, windowMs);
  return pace;
}

const many = (value: number): number[] => Array(40).fill(value);

describe('what a call is expected to take', () => {
  it('is nothing before the first, three times that after it, and ever closer to what all of them take', () => {
    expect(paceAfter([], []).predictedMs).toBe(0);
    expect(paceAfter([20], []).predictedMs).toBe(60);
    expect(paceAfter([20, 20], []).predictedMs).toBe(50);
    expect(paceAfter(many(20), []).predictedMs).toBeCloseTo(20, 1);
  });

  it('goes by the formulas of RFC 6298', () => {
    const pace = paceAfter([20, 36], []);
    // RTTVAR = 3/4 · 10 + 1/4 · |20 - 36|, SRTT = 7/8 · 20 + 1/8 · 36
    expect(pace.predictedMs).toBe(22 + 4 * 11.5);
  });

  it('is never below the smoothed time, nor above the longest by more than four deviations', () =>
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 10_000 }), { minLength: 1, maxLength: 50 }), (calls) => {
        const { predictedMs } = paceAfter(calls, []);
        expect(predictedMs).toBeGreaterThanOrEqual(Math.min(...calls));
        expect(predictedMs).toBeLessThanOrEqual(5 * Math.max(...calls));
      }),
    ));
});

describe('the patience of an item that nothing is under way for', () => {
  it('is none before it is known how fast items come and how long calls take', () => {
    expect(paceAfter([], []).idlePatienceMs(50)).toBe(0);
    expect(paceAfter([20], []).idlePatienceMs(50)).toBe(0);
    expect(paceAfter([], [1, 1]).idlePatienceMs(50)).toBe(0);
  });

  it('is as long as a call takes while others are expected within that time, and within the window', () => {
    expect(paceAfter([20], many(5)).idlePatienceMs(50)).toBe(20);
    expect(paceAfter([20], many(19)).idlePatienceMs(50)).toBe(20);
    expect(paceAfter([20], many(20)).idlePatienceMs(50)).toBe(0);
    expect(paceAfter([200], many(5)).idlePatienceMs(50)).toBe(50);
    expect(paceAfter([200], many(60)).idlePatienceMs(50)).toBe(0);
    expect(paceAfter([20], many(5)).idlePatienceMs(0)).toBe(0);
  });

  it('is back soon after a pause of whatever length', () => {
    for (const pauseMs of [1_000, 1e9, Number.POSITIVE_INFINITY]) {
      const gaps = [...many(5), pauseMs];
      expect(paceAfter([20], gaps).idlePatienceMs(50)).toBe(0);
      expect(paceAfter([20], [...gaps, ...Array(8).fill(5)]).idlePatienceMs(50)).toBe(20);
    }
  });

  it('does not count items of one instant as fast arrivals', () => {
    expect(paceAfter([20], [...many(100), ...many(0)]).idlePatienceMs(50)).toBe(0);
  });
});
