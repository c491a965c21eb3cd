import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AdaptiveRate } from './adaptive-rate.js';

/** Successes every `everyMs` from `from` on, each answered at once. */
function succeed(rate: AdaptiveRate, from: number, forMs: number, { everyMs = 1_000, isBusy = true } = {}): void {
  for (let now = from + everyMs; now <= from + forMs; now += everyMs) rate.onSuccess(now, now, isBusy);
}

describe('AdaptiveRate', () => {
  it('halves once for a burst, however many of its calls are refused', () => {
    const rate = new AdaptiveRate();
    const sent = [0, 1, 2, 3, 4, 5];
    expect(sent.map((sentAt) => rate.onRateLimited(sentAt, 100 + sentAt))).toEqual([
      true,
      ...Array(sent.length - 1).fill(false),
    ]);
    expect(rate.factor).toBe(0.5);
    expect(rate.onRateLimited(101, 200)).toBe(true);
    expect(rate.factor).toBe(0.25);
  });

  it('halves once for a burst in whatever order its refusals arrive, and however they are mixed with successes', () => {
    const answer = fc.record({ sentAt: fc.integer({ min: 0, max: 100 }), isRefused: fc.boolean() });
    fc.assert(
      fc.property(fc.array(answer, { minLength: 1, maxLength: 50 }), (answers) => {
        const rate = new AdaptiveRate();
        let cuts = 0;
        answers.forEach(({ sentAt, isRefused }, index) => {
          if (!isRefused) rate.onSuccess(sentAt, 100 + index, true);
          else if (rate.onRateLimited(sentAt, 100 + index)) cuts++;
        });
        const refused = answers.filter(({ isRefused }) => isRefused).length;
        expect(cuts).toBe(Math.min(1, refused));
        expect(rate.factor).toBe(refused > 0 ? 0.5 : 1);
      }),
    );
  });

  it('makes a halving good in a minute of success, in even steps, and stops at the configured limit', () => {
    const rate = new AdaptiveRate();
    rate.onRateLimited(0, 0);
    succeed(rate, 0, 30_000);
    expect(rate.factor).toBeCloseTo(0.75, 9);
    succeed(rate, 30_000, 30_000);
    expect(rate.factor).toBeCloseTo(1, 9);
    succeed(rate, 60_000, 600_000);
    expect(rate.factor).toBe(1);
  });

  it('grows at the same pace whether successes are many or few', () => {
    const [many, few] = [new AdaptiveRate({ recover: '2m' }), new AdaptiveRate({ recover: '2m' })];
    for (const rate of [many, few]) rate.onRateLimited(0, 0);
    succeed(many, 0, 60_000, { everyMs: 10 });
    succeed(few, 0, 60_000, { everyMs: 5_000 });
    expect(many.factor).toBeCloseTo(0.75, 9);
    expect(few.factor).toBeCloseTo(0.75, 9);
  });

  it('does not grow while nobody is held back, nor for successes of calls sent before the cut', () => {
    const rate = new AdaptiveRate();
    rate.onRateLimited(0, 1_000);
    succeed(rate, 1_000, 60_000, { isBusy: false });
    for (let now = 61_000; now < 90_000; now += 1_000) rate.onSuccess(900, now, true);
    expect(rate.factor).toBe(0.5);
  });

  it('takes a long silence for a tenth of the recovery at most', () => {
    const rate = new AdaptiveRate();
    rate.onRateLimited(0, 0);
    rate.onSuccess(3_600_000, 3_600_000, true);
    expect(rate.factor).toBeCloseTo(0.55, 9);
  });

  it('never falls below its floor', () => {
    const rate = new AdaptiveRate({ floor: 0.3 });
    expect([1, 2, 3].map((now) => rate.onRateLimited(now, now))).toEqual([true, true, false]);
    expect(rate.factor).toBe(0.3);
    expect(rate.lastChange).toEqual({ at: 2, from: 0.5, to: 0.3, why: 'rate-limited' });
  });

  it('tells its last change, and all growth since a cut as one', () => {
    const rate = new AdaptiveRate();
    expect(rate.lastChange).toBeUndefined();
    rate.onRateLimited(0, 5);
    expect(rate.lastChange).toEqual({ at: 5, from: 1, to: 0.5, why: 'rate-limited' });
    succeed(rate, 5, 60_000);
    expect(rate.lastChange).toEqual({ at: 60_005, from: 0.5, to: rate.factor, why: 'success' });
  });

  it('hears errors again after the clock has gone back', () => {
    const rate = new AdaptiveRate();
    rate.onRateLimited(1_000_000, 1_000_000);
    rate.onRateLimited(10, 20);
    expect(rate.onRateLimited(30, 40)).toBe(true);
  });

  it('passes over instants that are none', () => {
    const rate = new AdaptiveRate();
    expect(rate.onRateLimited(0, Number.NaN)).toBe(false);
    rate.onRateLimited(0, 10);
    rate.onSuccess(20, Number.POSITIVE_INFINITY, true);
    expect(rate.factor).toBe(0.5);
  });

  it('keeps within the floor and 1, cuts by half at most, and only grows on success, whatever the clock does', () => {
    const instant = fc.oneof(fc.double(), fc.integer({ min: -1_000, max: 200_000 }));
    const event = fc.record({ isRefused: fc.boolean(), isBusy: fc.boolean(), sentAt: instant, now: instant });
    fc.assert(
      fc.property(
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        fc.array(event, { maxLength: 100 }),
        (floor, events) => {
          const rate = new AdaptiveRate({ floor });
          for (const { isRefused, isBusy, sentAt, now } of events) {
            const before = rate.factor;
            if (isRefused) rate.onRateLimited(sentAt, now);
            else rate.onSuccess(sentAt, now, isBusy);
            expect(rate.factor).toBeGreaterThanOrEqual(isRefused ? Math.max(floor, before / 2) : before);
            expect(rate.factor).toBeLessThanOrEqual(isRefused ? before : 1);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
