import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WindowOracle } from '../../../test/limiter-oracle.js';
import { seededRandom } from '../../kernel/index.js';
import { SlidingLog } from './sliding-log.js';

describe('SlidingLog', () => {
  it('lets the whole limit come at once, and all of it again when it is a window old', () => {
    const log = new SlidingLog(1_000);
    for (let taken = 0; taken < 10; taken++) {
      expect(log.waitMs(1, 10, 5)).toBe(0);
      log.charge(1, 5);
    }
    expect([log.waitMs(1, 10, 5), log.waitMs(10, 10, 5), log.left(10, 5), log.resetMs(5)]).toEqual([
      1_000, 1_000, 0, 1_000,
    ]);
    expect(log.waitMs(1, 10, 1_004.999)).toBeGreaterThan(0);
    expect([log.waitMs(10, 10, 1_005), log.used(1_005), log.resetMs(1_005)]).toEqual([0, 0, 0]);
  });

  it('is not fooled by the edge of a window: what came at its end counts in the next one', () => {
    const log = new SlidingLog(1_000);
    log.charge(1, 0);
    log.charge(9, 999);
    expect(log.waitMs(1, 10, 1_000)).toBe(0);
    expect(log.waitMs(2, 10, 1_000)).toBe(999);
  });

  it('waits for no more to leave than has to', () => {
    const log = new SlidingLog(1_000);
    for (const at of [0, 100, 200, 300]) log.charge(2.5, at);
    expect([1, 2.5, 2.6, 5, 7.5, 10].map((amount) => log.waitMs(amount, 10, 300))).toEqual([
      700, 700, 800, 800, 900, 1_000,
    ]);
  });

  it.each([1, 7, 100, 1_000, 90_000])(
    'admits nearly all of a limit of %d under load, and never more than all',
    (limit) => {
      const windowMs = 60_000;
      const random = seededRandom(limit);
      const log = new SlidingLog(windowMs);
      const oracle = new WindowOracle(windowMs);
      const amount = Math.max(1, limit / 1_000);
      let now = 0;
      let admitted = 0;
      for (; now < 20 * windowMs; now += (random() * windowMs) / 4_000) {
        if (log.waitMs(amount, limit, now) > 0) continue;
        log.charge(amount, now);
        oracle.charge(amount, now);
        admitted += amount;
      }
      expect(admitted).toBeGreaterThan(limit * 20 * 0.98);
      expect(oracle.most(windowMs)).toBeLessThanOrEqual(limit);
    },
  );

  it('counts an instant of charges however many there are, and adds up fractions without a drift', () => {
    const log = new SlidingLog(1_000);
    for (let round = 0; round < 500; round++) {
      const now = round * 1_000;
      // Three times 0.1 is more than 0.3 by the last digit of a double.
      for (let taken = 0; taken < 3; taken++) {
        expect(log.waitMs(0.1, 0.3, now)).toBe(0);
        log.charge(0.1, now);
      }
      expect(log.waitMs(0.1, 0.3, now)).toBe(1_000);
    }
  });

  it('takes back what was charged from where it was charged, as long as that counts', () => {
    const log = new SlidingLog(1_000);
    log.charge(4, 0);
    log.charge(4, 500);
    expect(log.takeBack(3, 0, 600)).toBe(3);
    expect([log.used(600), log.used(1_000), log.used(1_500)]).toEqual([5, 4, 0]);
    log.charge(2, 2_000);
    expect(log.takeBack(1, 500, 2_100), 'it has left').toBe(0);
    expect([log.takeBack(9, 2_000, 2_100), log.used(2_100), log.resetMs(2_100)]).toEqual([2, 0, 0]);
  });

  it('takes nothing back from a neighbour of what has left', () => {
    const log = new SlidingLog(1_000);
    log.charge(4, 0);
    log.charge(4, 100);
    expect(log.takeBack(4, 0, 1_050)).toBe(0);
    expect(log.used(1_050)).toBe(4);
  });

  it('is reset when the last that was not taken back has left', () => {
    const log = new SlidingLog(1_000);
    for (const at of [0, 100, 200, 300]) log.charge(1, at);
    log.refund(1, 300, 300);
    expect(log.resetMs(300)).toBe(900);
    log.refund(1, 200, 300);
    log.refund(1, 100, 300);
    expect(log.resetMs(300)).toBe(700);
  });

  it('counts each charge for a window and at most 1/64 longer, as a list does, however much is taken back', () => {
    const pauseMs = fc.oneof(fc.constantFrom(0, 1, 15, 16, 40, 100, 500), fc.integer({ min: 0, max: 60 }));
    const step = fc.record({ pauseMs, amount: fc.integer({ min: 0, max: 9 }), back: fc.option(fc.nat()) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200, size: 'max' }), (steps) => {
        const log = new SlidingLog(1_000);
        const oracle = new WindowOracle(1_000);
        let now = 0;
        for (const { pauseMs, amount, back } of steps) {
          now += pauseMs;
          log.charge(amount, now);
          oracle.charge(amount, now);
          const charge = oracle.charges[(back ?? 0) % oracle.charges.length];
          if (back !== null && charge !== undefined) {
            const half = Math.ceil(charge.amount / 2);
            log.refund(half, charge.at, now);
            charge.amount -= half;
          }
          expect(log.used(now)).toBeGreaterThanOrEqual(oracle.sum((at) => at + 1_000 > now));
          expect(log.used(now)).toBeLessThanOrEqual(oracle.sum((at) => at + 1_000 * (1 + 1 / 64) > now));
        }
      }),
    );
  });

  it('lets more than a reduced limit pass where nothing counts, and nothing under none', () => {
    const log = new SlidingLog(1_000);
    expect([log.waitMs(8, 4, 0), log.waitMs(8, 0, 0)]).toEqual([0, Number.POSITIVE_INFINITY]);
    log.charge(1, 0);
    log.charge(1, 400);
    expect(log.waitMs(8, 4, 500), 'until both have left').toBe(900);
    log.refund(1, 400, 500);
    expect(log.waitMs(8, 4, 500), 'until the one that is left has').toBe(500);
  });
});
