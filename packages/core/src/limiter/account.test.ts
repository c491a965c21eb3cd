import { describe, expect, it } from 'vitest';
import { CalendarOracle, WindowOracle } from '../../test/limiter-oracle.js';
import { seededRandom } from '../kernel/index.js';
import { Account } from './account.js';
import type { Dimension } from './dimensions.js';

const minuteMs = 60_000;
const dayMs = 86_400_000;
const midnight = Date.UTC(2026, 0, 2, 8); // in Los Angeles

const perMinute = { kind: 'window', name: 'requests/1m', unit: 'requests', limit: 10, windowMs: minuteMs } as const;
const requests: Dimension = { ...perMinute, burst: undefined };
const tokens: Dimension = { ...perMinute, name: 'tokens/1m', unit: 'tokens', limit: 1_000, burst: undefined };
const calendar = { kind: 'calendar', unit: 'requests', per: 'day', timeZone: 'America/Los_Angeles' } as const;
const perDay: Dimension = { ...calendar, name: 'requests/day', limit: 100 };
const places: Dimension = { kind: 'concurrency', name: 'concurrency', unit: 'concurrency', limit: 2 };

describe('Account', () => {
  it('says what is left, when all is there again, and how long a refusal has to wait', () => {
    const account = new Account([requests]);
    const { ok, binding, waitMs, remaining, resetMs, waitsMs } = account.take([4], 0, 0);
    expect({ ok, binding, waitMs, remaining, resetMs, waitsMs }).toEqual({
      ...{ ok: true, binding: 0, waitMs: 0 },
      ...{ remaining: [6], resetMs: [minuteMs], waitsMs: [0] },
    });
    const refusal = account.take([7], 20_000, 0);
    expect([refusal.ok, refusal.waitMs, refusal.waitsMs, refusal.remaining]).toEqual([false, 40_000, [40_000], [6]]);
  });

  it('takes of all dimensions or of none, and names the one that binds', () => {
    const account = new Account([requests, tokens, perDay]);
    const first = account.take([1, 900, 1], 0, midnight);
    expect([first.ok, first.binding, first.waitsMs]).toEqual([true, 1, [0, 0, 0]]);
    expect(first.remaining).toEqual([9, 100, 99]);
    const refusal = account.take([1, 200, 1], 10_000, midnight + 10_000);
    expect([refusal.ok, refusal.binding, refusal.waitMs]).toEqual([false, 1, 50_000]);
    expect(refusal.waitsMs).toEqual([0, 50_000, 0]);
    expect(refusal.resetMs).toEqual([50_000, 50_000, dayMs - 10_000]);
    expect(account.used(10_000, midnight + 10_000)).toEqual([1, 900, 1]);
  });

  it('names the dimension with the longest wait, which is the wait of the whole', () => {
    const account = new Account([requests, perDay]);
    account.charge([10, 100], 0, midnight);
    const { binding, waitMs, waitsMs } = account.take([1, 1], 0, midnight);
    expect([binding, waitMs, waitsMs]).toEqual([1, dayMs, [minuteMs, dayMs]]);
  });

  it('lets pass what takes nothing of a dimension that is overdrawn', () => {
    const account = new Account([requests, tokens]);
    account.charge([0, 2_000], 0, 0);
    expect(account.take([1, 0], 1, 0).ok).toBe(true);
    expect(account.take([1, 1], 1, 0).waitMs).toBe(minuteMs - 1);
  });

  it('tells what one would be told, and charges nothing for it', () => {
    const account = new Account([requests, tokens]);
    expect(account.look([1, 1], 0, 0)).toMatchObject({ ok: true, remaining: [10, 1_000] });
    expect(account.look([1, 600], 0, 0, [10, 500]).ok, 'nothing is used').toBe(true);
    account.take([1, 1], 0, 0);
    expect(account.look([1, 600], 0, 0, [10, 500])).toMatchObject({ ok: false, waitMs: minuteMs, remaining: [9, 499] });
    expect(account.used(0, 0)).toEqual([1, 1]);
  });

  it('charges a refusal where that is the penalty, but takes no place for it, and tells the wait that this makes', () => {
    const account = new Account([requests, places]);
    account.take([10, 0], 0, 0);
    const lease = { id: 'a', expiresAt: 1e9 };
    expect(account.take([1, 0], 30_000, 0, { penalise: true, lease }).waitMs).toBe(minuteMs / 2);
    expect(account.used(30_000, 0)).toEqual([11, 0]);
    expect(account.take([10, 0], minuteMs, 0, { penalise: true }).waitMs, 'of all that was tried').toBe(minuteMs);
  });

  it('has a place for a lease until it is released, expires or is extended no more', () => {
    const account = new Account([requests, places]);
    const take = (id: string, now: number) => account.take([1, 0], now, 0, { lease: { id, expiresAt: now + 1_000 } });
    expect([take('a', 0).ok, take('b', 100).ok]).toEqual([true, true]);
    expect(take('c', 200)).toMatchObject({
      ok: false,
      binding: 1,
      waitMs: 800,
      remaining: [8, 0],
      resetMs: [59_900, 900],
    });
    expect(account.take([1, 0], 200, 0).ok, 'without a lease no place is needed').toBe(true);
    expect([account.extend('a', 5_000, 900), account.extend('z', 5_000, 900)]).toEqual([true, false]);
    expect(take('c', 1_000).waitMs, 'until b expires').toBe(100);
    expect([account.release('a'), account.release('a')]).toEqual([true, false]);
    expect(take('c', 1_000).ok).toBe(true);
    expect([account.isHeld(1_999), account.isHeld(2_000)]).toEqual([true, false]);
  });

  it('gives back what was charged, and of a calendar only within the same period', () => {
    const account = new Account([requests, perDay]);
    account.take([5, 5], 0, midnight - 1_000);
    account.refund([2, 2], 0, midnight - 1_000, 500, midnight - 500);
    expect(account.used(500, midnight - 500)).toEqual([3, 3]);
    account.take([5, 5], 2_000, midnight + 1_000);
    account.refund([3, 3], 0, midnight - 1_000, 3_000, midnight + 2_000);
    expect(account.used(3_000, midnight + 2_000)).toEqual([5, 5]);
  });

  it('is idle when nothing is used and no place is held', () => {
    const account = new Account([requests, places, perDay]);
    expect(account.isIdle(0, midnight)).toBe(true);
    account.take([1, 0, 0], 0, midnight, { lease: { id: 'a', expiresAt: 2 * minuteMs } });
    expect(account.isIdle(minuteMs, midnight)).toBe(false);
    expect(account.isIdle(2 * minuteMs, midnight)).toBe(true);
  });

  it.each([
    [60, 1],
    [500, 1],
    [1_000, 10],
    [1_000_000, 1],
  ])('paces a limit of %d with a burst of %d evenly, and uses nearly all of it', (limit, burst) => {
    const account = new Account([{ ...requests, limit, burst }]);
    const oracle = new WindowOracle(minuteMs);
    const gapsMs: number[] = [];
    let now = 0;
    while (now < Math.min(4, 10_000 / limit) * minuteMs) {
      const { ok, waitMs } = account.take([1], now, 0);
      if (ok) oracle.charge(1, now);
      else gapsMs.push(waitMs);
      now += waitMs;
    }
    expect(Math.max(...gapsMs) / Math.min(...gapsMs)).toBeLessThan(1.000001);
    const rate = (oracle.charges.length - burst) / now;
    expect((rate * minuteMs) / limit).toBeGreaterThan(0.967);
    expect(oracle.most(minuteMs)).toBeLessThanOrEqual(limit);
  });

  it('keeps a reduced pace, whatever overruns meanwhile', () => {
    const account = new Account([{ ...requests, limit: 600, burst: 6 }]);
    let taken = 0;
    for (let now = 0; now < 20_000; now += 10) {
      if (account.take([1], now, 0, { limits: [60] }).ok) taken++;
      if (now % 1_000 === 0) account.charge([0.001], now, 0, [60]);
    }
    expect(taken).toBeLessThanOrEqual(6 + 20 + 1);
  });

  it('keeps a day of quota over 100,000 requests in three dimensions', () => {
    const dimensions = [
      { ...requests, limit: 120 },
      { ...tokens, limit: 90_000 },
      { ...perDay, limit: 40_000 },
    ] as const;
    const account = new Account(dimensions);
    const random = seededRandom(7);
    const [minutes, tokenMinutes] = [new WindowOracle(minuteMs), new WindowOracle(minuteMs)];
    const days = new CalendarOracle('day', calendar.timeZone);
    let now = 0;
    for (let asked = 0; asked < 100_000; asked++) {
      now += random() * ((2 * dayMs) / 100_000);
      const size = Math.ceil(random() * 2_000);
      if (!account.take([1, size, 1], now, midnight + now).ok) continue;
      minutes.charge(1, now);
      tokenMinutes.charge(size, now);
      days.charge(1, midnight + now);
    }
    expect(minutes.most(minuteMs)).toBeLessThanOrEqual(120);
    expect(tokenMinutes.most(minuteMs)).toBeLessThanOrEqual(90_000);
    expect(days.sum((at) => at < midnight + dayMs)).toBe(40_000);
  });
});
