import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PaceOracle } from '../../../test/limiter-oracle.js';
import { Pace } from './pace.js';

describe('Pace', () => {
  it('has as much in it as the fullest stretch of time exceeds what drains during it, overruns included', () => {
    const pauseMs = fc.oneof(fc.constantFrom(0, 1, 10, 1e9), fc.double({ min: 0, max: 100, noNaN: true }));
    const amount = fc.oneof(fc.constantFrom(0, 1, 30), fc.double({ min: 0, max: 5, noNaN: true }));
    fc.assert(
      fc.property(fc.array(fc.tuple(pauseMs, amount), { maxLength: 60, size: 'max' }), (charges) => {
        const pace = new Pace(5, 10);
        const oracle = new PaceOracle(5, 10);
        let now = 0;
        for (const [pauseMs, amount] of charges) {
          now += pauseMs;
          expect(pace.level(1, now)).toBeCloseTo(oracle.level(now), 6);
          pace.charge(amount, 1, now);
          oracle.charge(amount, now);
        }
      }),
    );
  });

  it.each([0, 1e-9, 0.3, 1e6, 1.7e12])('keeps its word to the last bit, from the instant %d on', (start) => {
    const unitMs = 1_000 / 7;
    const pace = new Pace(1, unitMs);
    let now = start;
    for (let taken = 0; taken < 1_000; taken++) {
      now += pace.waitMs(1, 1, now);
      expect(pace.waitMs(1, 1, now)).toBe(0);
      pace.charge(1, 1, now);
    }
    expect((now - start) / unitMs / 999).toBeCloseTo(1, 6);
    for (let taken = 0; taken < 1_000; taken++) {
      now += pace.waitMs(1.7, 1, now);
      expect(pace.waitMs(1.7, 1, now), 'above the burst: when it is empty').toBe(0);
      pace.charge(1.7, 1, now);
    }
  });

  it('drains more slowly at a lower rate, and a change of the rate lets nothing go at once', () => {
    const pace = new Pace(10, 100);
    pace.charge(10, 1, 0);
    expect([pace.waitMs(1, 1, 0), pace.waitMs(1, 0.5, 0), pace.waitMs(10, 0.5, 0)]).toEqual([100, 200, 2_000]);
    expect([pace.level(0.5, 0), pace.resetMs(0.5, 0)]).toEqual([10, 2_000]);
    pace.charge(1, 0.5, 200);
    expect(pace.waitMs(1, 0.5, 200), 'it drained at the lower rate').toBe(200);
    expect([pace.waitMs(1, 0, 200), pace.resetMs(0, 200)]).toEqual([
      Number.POSITIVE_INFINITY,
      Number.POSITIVE_INFINITY,
    ]);
  });

  it('takes what is above the burst when it is empty, and is in debt then', () => {
    const pace = new Pace(2, 100);
    expect(pace.waitMs(3, 1, 0)).toBe(0);
    pace.charge(3, 1, 0);
    expect([pace.waitMs(3, 1, 0), pace.waitMs(1, 1, 0), pace.waitMs(0, 1, 0)]).toEqual([300, 200, 0]);
  });

  it('drains by what is refunded, to nothing at most', () => {
    const pace = new Pace(2, 100);
    pace.charge(2, 1, 0);
    pace.refund(1);
    expect(pace.level(1, 0)).toBe(1);
    pace.refund(5);
    expect([pace.level(1, 0), pace.resetMs(1, 0)]).toEqual([0, 0]);
  });
});
