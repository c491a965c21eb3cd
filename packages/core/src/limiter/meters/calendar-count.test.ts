import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CalendarOracle } from '../../../test/limiter-oracle.js';
import { CalendarCount } from './calendar-count.js';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const midnight = Date.UTC(2026, 0, 2);

function countOf(timeZone = 'UTC', per: 'hour' | 'day' | 'week' | 'month' = 'day'): CalendarCount {
  return new CalendarCount({ kind: 'calendar', name: 'calendar', unit: 'requests', limit: 10, per, timeZone });
}

/** @returns what was taken */
function takeAll(count: CalendarCount, limit: number, walls: readonly number[]): number {
  let taken = 0;
  for (const wall of walls) {
    while (count.waitMs(1, limit, wall) === 0) {
      count.charge(1, wall);
      taken++;
    }
  }
  return taken;
}

describe('CalendarCount', () => {
  it('allows exactly what is left of the period between two midnights of its zone', () => {
    const zone = fc.constantFrom('America/Los_Angeles', 'Asia/Kolkata', 'Europe/Berlin', 'Pacific/Apia', 'UTC');
    const per = fc.constantFrom('hour', 'day', 'week', 'month');
    const start = fc.constantFrom('2026-03-07', '2026-03-28', '2026-10-24', '2026-10-31', '2011-12-28');
    const pause = fc.oneof(
      fc.constantFrom(0, 60_000, hourMs / 2, hourMs, dayMs, 40 * dayMs),
      fc.integer({ max: dayMs }).map(Math.abs),
    );
    const step = fc.record({ pause, amount: fc.constantFrom(0, 0.5, 1, 3) });
    fc.assert(
      fc.property(zone, per, start, fc.array(step, { maxLength: 60, size: 'max' }), (zone, per, start, steps) => {
        const count = countOf(zone, per);
        const oracle = new CalendarOracle(per, zone);
        let wall = Date.parse(start);
        for (const { pause, amount } of steps) {
          wall += pause;
          const waitMs = count.waitMs(amount, 5, wall);
          expect(waitMs === 0).toBe(oracle.mayAllow(amount, 5, wall));
          expect(waitMs === 0).toBe(oracle.mustAllow(amount, 5, wall));
          if (waitMs === 0) {
            count.charge(amount, wall);
            oracle.charge(amount, wall);
          } else {
            expect(oracle.mayAllow(amount, 5, wall + waitMs - 1)).toBe(false);
            expect(oracle.mustAllow(amount, 5, wall + waitMs)).toBe(true);
          }
        }
      }),
    );
  });

  it('gives no second quota for a day however often the clock goes back and forth over its midnight', () => {
    const wall = fc.integer({ min: midnight - dayMs, max: midnight + dayMs - 1 });
    fc.assert(
      fc.property(fc.array(wall, { maxLength: 50, size: 'max' }), (walls) => {
        const days = new Set(walls.map((each) => Math.floor(each / dayMs))).size;
        expect(takeAll(countOf(), 10, walls)).toBeLessThanOrEqual(10 * days);
      }),
    );
  });

  it('gives one fresh quota at most for a step into a later day, however far the clock is set', () => {
    const wall = fc.integer({ min: 0, max: 4e12 });
    fc.assert(
      fc.property(fc.array(wall, { maxLength: 50, size: 'max' }), (walls) => {
        const later = walls.filter(
          (each, index) => Math.floor(each / dayMs) > Math.floor((walls[index - 1] ?? 0) / dayMs),
        );
        expect(takeAll(countOf(), 10, [0, ...walls])).toBeLessThanOrEqual(10 * (1 + later.length));
      }),
    );
  });

  it('waits for the end of the day that was seen first, when the clock steps back over midnight', () => {
    const count = countOf();
    expect(takeAll(count, 10, [midnight, midnight + 5, midnight - 1_000])).toBe(10);
    expect(count.waitMs(1, 10, midnight - 1_000)).toBe(dayMs + 1_000);
  });

  it('is not shut for a year by a clock that was a year ahead', () => {
    const count = countOf();
    takeAll(count, 10, [midnight + 365 * dayMs]);
    expect(count.waitMs(1, 10, midnight + hourMs), 'what was used stays used').toBe(23 * hourMs);
    expect(count.waitMs(1, 10, midnight + dayMs)).toBe(0);
  });

  it('gives back what was charged in the present period, and nothing of another', () => {
    const count = countOf();
    count.charge(10, midnight - 1);
    count.refund(4, midnight - 1, midnight - 1);
    expect(count.used(midnight - 1)).toBe(6);
    count.charge(10, midnight);
    count.refund(6, midnight - 1, midnight + 1);
    expect(count.used(midnight + 1)).toBe(10);
  });

  it('tells what is left and when the period ends, and allows more than a reduced limit where nothing is used', () => {
    const count = countOf();
    expect([count.left(10, midnight), count.resetMs(midnight)]).toEqual([10, 0]);
    expect(count.waitMs(8, 4, midnight)).toBe(0);
    count.charge(8, midnight + hourMs);
    expect([count.left(10, midnight + hourMs), count.resetMs(midnight + hourMs)]).toEqual([2, 23 * hourMs]);
    expect([count.left(4, midnight + hourMs), count.waitMs(1, 4, midnight + hourMs)]).toEqual([0, 23 * hourMs]);
    expect(count.waitMs(3, 0, midnight + 2 * dayMs)).toBe(Number.POSITIVE_INFINITY);
  });
});
