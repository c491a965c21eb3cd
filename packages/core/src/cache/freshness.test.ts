import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { seededRandom } from '../kernel/index.js';
import { isRefreshedEarly, lifetimeOf, ttlMsOf } from './freshness.js';
import { pauseAfter } from './loading/stand-ins.js';

const seeds = fc.nat();

describe('an early refresh', () => {
  const draws = 20_000;
  const share = (leftMs: number, computeMs: number, beta: number, seed: number): number => {
    const random = seededRandom(seed);
    const entry = { freshUntil: 1_000_000, computeMs };
    let yes = 0;
    for (let draw = 0; draw < draws; draw++) {
      if (isRefreshedEarly(entry.freshUntil - leftMs, entry, beta, random)) yes++;
    }
    return yes / draws;
  };

  // Of 20,000 draws the share of yes differs from its chance by more than 5 standard deviations once in 1.7 million tests.
  it.each([
    { left: 0, beta: 1, chance: 1 },
    { left: 0.1, beta: 1, chance: 0.905 },
    { left: 1, beta: 1, chance: 0.368 },
    { left: 3, beta: 1, chance: 0.05 },
    { left: 6, beta: 1, chance: 0.0025 },
    { left: 1, beta: 0.5, chance: 0.135 },
    { left: 3, beta: 2, chance: 0.223 },
  ])('has a chance of $chance at $left computations before the end with beta $beta', ({ left, beta, chance }) => {
    const computeMs = 800;
    const expected = Math.exp(-left / beta);
    expect(expected).toBeCloseTo(chance, 3);
    const tolerance = 5 * Math.sqrt((expected * (1 - expected)) / draws);
    const seed = 20_241_121;
    expect(Math.abs(share(left * computeMs, computeMs, beta, seed) - expected)).toBeLessThanOrEqual(tolerance);
  });

  it('becomes likelier as the end comes near, whatever the seed: the same draw says yes from some moment on', () => {
    const gap = fc.double({ min: 0, max: 10_000, noNaN: true });
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), gap, gap, (draw, one, other) => {
        const entry = { freshUntil: 20_000, computeMs: 500 };
        const [near, far] = [Math.min(one, other), Math.max(one, other)];
        const isDue = (left: number) => isRefreshedEarly(entry.freshUntil - left, entry, 1, () => draw);
        if (isDue(far)) expect(isDue(near)).toBe(true);
      }),
    );
  });

  it('never happens where computing takes no time, and draws no number where none could say yes', () => {
    const random = vi.fn(() => 1 - 2 ** -53); // the highest there is
    expect(isRefreshedEarly(999, { freshUntil: 1_000, computeMs: 0 }, 1, random)).toBe(false);
    expect(isRefreshedEarly(0, { freshUntil: 300_000, computeMs: 5 }, 1, random)).toBe(false);
    expect(random).not.toHaveBeenCalled();
    // Just where drawing begins, the highest number does say no: nothing is lost by not drawing further out.
    expect(isRefreshedEarly(0, { freshUntil: 37 * 100, computeMs: 100 }, 1, random)).toBe(false);
    expect(random).toHaveBeenCalledTimes(1);
    expect(isRefreshedEarly(0, { freshUntil: 36.7 * 100, computeMs: 100 }, 1, random)).toBe(true);
  });
});

describe('a lifetime', () => {
  const options = { jitter: 0, random: () => 0.5, staleWhileRevalidateMs: 0, graceMs: 0 };

  it('is the ttl, and then the longer of the times that a value may stand in', () => {
    expect(lifetimeOf(options, 1_000, ['a'], 5)).toEqual({ freshMs: 1_000, keptMs: 1_000, computeMs: 5, tags: ['a'] });
    const keptMs = (staleWhileRevalidateMs: number, graceMs: number): number =>
      lifetimeOf({ ...options, staleWhileRevalidateMs, graceMs }, 1_000, [], 5).keptMs;
    expect([keptMs(300, 0), keptMs(0, 200), keptMs(300, 200), keptMs(200, 300)]).toEqual([1_300, 1_200, 1_300, 1_300]);
  });

  it('is cut by jitter to somewhere between what is left of it and the whole, never above, evenly', () => {
    fc.assert(
      fc.property(
        seeds,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer({ min: 1, max: 1e9 }),
        (seed, jitter, ttlMs) => {
          const random = seededRandom(seed);
          const fresh = Array.from(
            { length: 200 },
            () => lifetimeOf({ ...options, jitter, random }, ttlMs, [], 0).freshMs,
          );
          expect(Math.max(...fresh)).toBeLessThanOrEqual(ttlMs);
          expect(Math.min(...fresh)).toBeGreaterThanOrEqual(ttlMs * (1 - jitter));
          const mean = fresh.reduce((sum, each) => sum + each, 0) / fresh.length;
          // The mean of 200 even draws has a deviation of 1/sqrt(12 * 200) = 2 % of the width: 6 of these, and what the
          // sum of doubles rounds away.
          const rounded = 1e-12 * ttlMs;
          expect(Math.abs(mean - ttlMs * (1 - jitter / 2))).toBeLessThanOrEqual(0.123 * jitter * ttlMs + rounded);
        },
      ),
    );
  });

  it('is as long without a value as the negative ttl says, and only without one', () => {
    const ttls = { ttlMs: 1_000, negativeTtlMs: 10 };
    expect([null, undefined].map((value) => ttlMsOf(value, ttls))).toEqual([10, 10]);
    expect([0, '', false, Number.NaN, []].map((value) => ttlMsOf(value, ttls))).toEqual(Array(5).fill(1_000));
  });
});

it('pauses after failures for 1 s, twice as long each time, for a minute at most, however many there are', () => {
  expect([1, 2, 3, 4, 5, 6, 7, 8, 1_000, 1e9].map((failures) => pauseAfter(failures) / 1_000)).toEqual([
    1, 2, 4, 8, 16, 32, 60, 60, 60, 60,
  ]);
});
