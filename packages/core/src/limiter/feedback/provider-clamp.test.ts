import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CalendarDimension, Dimension, WindowDimension } from '../dimensions.js';
import { ProviderClamp } from './provider-clamp.js';
import type { ProviderDimension, ProviderLimits } from './provider-limits.js';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

function window(unit: string, windowMs: number): WindowDimension {
  return { kind: 'window', name: `${unit}/${windowMs}`, unit, limit: 1_000_000, windowMs, burst: undefined };
}

const perDay: CalendarDimension = {
  kind: 'calendar',
  name: 'requests/day',
  unit: 'requests',
  limit: 1_000_000,
  per: 'day',
  timeZone: 'UTC',
};
const [rpm, tpm, calls] = [0, 1, 3];
const dimensions: readonly Dimension[] = [
  window('requests', minuteMs),
  window('tokens', minuteMs),
  perDay,
  { kind: 'concurrency', name: 'concurrency', unit: 'concurrency', limit: 4 },
];

function said(...headers: ProviderDimension[]): ProviderLimits {
  return { dimensions: headers };
}

/** Waits of all four dimensions for one unit each. */
function waits(clamp: ProviderClamp, now: number, amount = 1): number[] {
  return dimensions.map((_, index) => clamp.blockedMs(index, amount, now));
}

function setUp() {
  return new ProviderClamp(dimensions);
}

const ok = { now: 0, isRateLimited: false };
const refused = { now: 0, isRateLimited: true };

describe('what a provider says is left', () => {
  it('is handed out and counted down until its reset', () => {
    const clamp = setUp();
    clamp.learn(said({ unit: 'tokens', remaining: 100, resetMs: 5_000 }), ok);
    expect([clamp.blockedMs(tpm, 100, 0), clamp.blockedMs(tpm, 101, 1_000), clamp.blockedMs(tpm, 0, 0)]).toEqual([
      0, 4_000, 0,
    ]);
    clamp.onTake([1, 60, 1, 1]);
    expect([clamp.blockedMs(tpm, 40, 0), clamp.blockedMs(tpm, 41, 0), clamp.blockedMs(tpm, 41, 5_000)]).toEqual([
      0, 5_000, 0,
    ]);
    expect(waits(clamp, 0)).toEqual([0, 0, 0, 0]);
  });

  it('goes to the dimension of its unit whose window is nearest', () => {
    const clamp = setUp();
    clamp.learn(said({ unit: 'requests', windowMs: dayMs, remaining: 0, resetMs: 7_000 }), ok);
    expect(waits(clamp, 0)).toEqual([0, 0, 7_000, 0]);
    clamp.learn(said({ unit: 'requests', windowMs: 30_000, remaining: 0, resetMs: 7_000 }), ok);
    expect(waits(clamp, 0)).toEqual([7_000, 0, 7_000, 0]);
  });

  it('goes, without a window, to the shortest that can take as long to reset', () => {
    const [short, long] = [setUp(), setUp()];
    short.learn(said({ unit: 'requests', remaining: 0, resetMs: minuteMs + 1_000 }), ok); // a date's whole seconds
    long.learn(said({ unit: 'requests', remaining: 0, resetMs: 10 * minuteMs }), ok);
    expect(waits(short, 0)).toEqual([minuteMs, 0, 0, 0]);
    expect(waits(long, 0)).toEqual([0, 0, 10 * minuteMs, 0]);
  });

  it('tells minute and day apart, and each resets by itself', () => {
    const clamp = setUp();
    const minute = { unit: 'requests', windowMs: minuteMs, remaining: 5, resetMs: 20_000 };
    const day = { unit: 'requests', windowMs: dayMs, remaining: 0, resetMs: 3 * hourMs };
    clamp.learn({ dimensions: [minute, day], retryAfterMs: 1_000 }, refused);
    expect(waits(clamp, 0)).toEqual([0, 0, 3 * hourMs, 0]);
    expect(clamp.blockedMs(rpm, 6, 0)).toBe(20_000);
    expect(clamp.blockedMs(rpm, 6, 20_000)).toBe(0);
  });

  it('takes the tighter one where two mean the same dimension', () => {
    const loose = { unit: 'tokens', remaining: 500, resetMs: 50_000 };
    const tight = { unit: 'tokens', remaining: 10, resetMs: 9_000 };
    for (const both of [said(loose, tight), said(tight, loose)]) {
      const clamp = setUp();
      clamp.learn(both, ok);
      expect(clamp.blockedMs(tpm, 11, 0)).toBe(9_000);
    }
  });

  it('comes back bit by bit where it refills', () => {
    const clamp = setUp();
    clamp.learn(said({ unit: 'tokens', limit: 1_000, remaining: 100, resetMs: 45_000, isRefilling: true }), ok);
    expect(clamp.blockedMs(tpm, 200, 0)).toBeCloseTo(5_000, 6);
    expect(clamp.blockedMs(tpm, 200, 4_000)).toBeCloseTo(1_000, 6);
    clamp.onTake([0, 100, 0, 0]);
    expect(clamp.blockedMs(tpm, 200, 5_000)).toBeCloseTo(5_000, 6);
    expect(clamp.blockedMs(tpm, 1_000, 0)).toBe(45_000);
  });

  it('does not hold up for ever what is larger than the limit of the provider', () => {
    const clamp = setUp();
    clamp.learn(said({ unit: 'tokens', limit: 1_000, remaining: 1_000, resetMs: 60_000 }), ok);
    expect(clamp.blockedMs(tpm, 5_000, 0)).toBe(0);
    clamp.learn(said({ unit: 'tokens', limit: 1_000, remaining: 400, resetMs: 60_000, isRefilling: true }), ok);
    expect(clamp.blockedMs(tpm, 5_000, 60_000)).toBe(0);
  });

  it('holds for a minute at most where nobody says when there is more', () => {
    const clamp = setUp();
    clamp.learn(said({ unit: 'requests', windowMs: dayMs, remaining: 0 }), ok);
    expect(waits(clamp, 0)).toEqual([0, 0, minuteMs, 0]);
  });

  it('is not corrected by answers to requests that were sent earlier', () => {
    const clamp = setUp();
    clamp.learn(said({ unit: 'requests', remaining: 0, resetMs: 9_000 }), {
      now: 100,
      sentAt: 50,
      isRateLimited: false,
    });
    clamp.learn(said({ unit: 'requests', remaining: 7, resetMs: 9_000 }), {
      now: 101,
      sentAt: 40,
      isRateLimited: false,
    });
    expect(clamp.blockedMs(rpm, 1, 100)).toBe(9_000);
    clamp.learn(said({ unit: 'requests', remaining: 7, resetMs: 9_000 }), {
      now: 102,
      sentAt: 60,
      isRateLimited: false,
    });
    expect(clamp.blockedMs(rpm, 1, 102)).toBe(0);
  });

  it('gives way to any answer once it has ended', () => {
    const clamp = setUp();
    clamp.learn(said({ unit: 'requests', remaining: 0, resetMs: 10 }), { now: 100, sentAt: 50, isRateLimited: false });
    clamp.learn(said({ unit: 'requests', remaining: 0, resetMs: 9 }), { now: 200, sentAt: 40, isRateLimited: false });
    expect(clamp.blockedMs(rpm, 1, 200)).toBe(9);
  });

  it('leaves alone what it does not name, and what has no limit here', () => {
    const clamp = setUp();
    clamp.learn(said({ unit: 'images', remaining: 0, resetMs: 9_000 }, { unit: 'concurrency', remaining: 0 }), ok);
    clamp.learn(said({ unit: 'requests', limit: 5, resetMs: 9_000 }), ok);
    expect(waits(clamp, 0)).toEqual([0, 0, 0, 0]);
  });
});

describe('a refusal', () => {
  it('pauses everything until Retry-After where no dimension is named', () => {
    const clamp = setUp();
    clamp.learn({ retryAfterMs: 5_000, ...said({ unit: 'requests', remaining: 3, resetMs: 1_000 }) }, refused);
    expect(waits(clamp, 1_000)).toEqual([4_000, 4_000, 4_000, 4_000]);
    expect(clamp.blockedMs(calls, 0, 1_000)).toBe(4_000);
    clamp.learn({ retryAfterMs: 1_000, dimensions: [] }, refused);
    expect(waits(clamp, 4_999)).toEqual([1, 1, 1, 1]);
    expect(waits(clamp, 5_000)).toEqual([0, 0, 0, 0]);
  });

  it('pauses only what needs the dimension that is named, for the longer of the two', () => {
    const [byReset, byHeader] = [setUp(), setUp()];
    byReset.learn({ retryAfterMs: 2_000, ...said({ unit: 'tokens', remaining: 0, resetMs: 9_000 }) }, refused);
    byHeader.learn({ retryAfterMs: 9_000, ...said({ unit: 'tokens', remaining: 0, resetMs: 2_000 }) }, refused);
    for (const clamp of [byReset, byHeader]) {
      expect(waits(clamp, 0)).toEqual([0, 9_000, 0, 0]);
      expect(clamp.blockedMs(tpm, 0, 0)).toBe(0);
    }
  });

  it('believes Retry-After rather than when a bucket will be full again', () => {
    const clamp = setUp();
    const bucket = { unit: 'tokens', limit: 1_000, remaining: 0, resetMs: 58_000, isRefilling: true };
    clamp.learn({ retryAfterMs: 3_000, dimensions: [bucket] }, refused);
    expect(clamp.blockedMs(tpm, 1, 0)).toBe(3_000);
    clamp.learn(said(bucket), { ...refused, now: 10 });
    expect(clamp.blockedMs(tpm, 1, 10)).toBe(58_000);
  });

  it('takes the one that is named with nothing but a reset for the one that is exhausted', () => {
    const clamp = setUp();
    clamp.learn(said({ unit: 'requests', remaining: 9 }, { unit: 'tokens', resetMs: 55_000 }), refused);
    expect(waits(clamp, 0)).toEqual([0, 55_000, 0, 0]);
  });

  it('pauses everything when what is exhausted has no limit here', () => {
    const clamp = setUp();
    clamp.learn(said({ unit: 'images', remaining: 0, resetMs: 9_000 }), refused);
    expect(waits(clamp, 0)).toEqual([9_000, 9_000, 9_000, 9_000]);
  });

  it('is not lifted by the answer to a request sent before it was heard, but by one sent after', () => {
    const clamp = setUp();
    clamp.learn(said({ unit: 'requests', remaining: 0, resetMs: 9_000 }), { now: 100, sentAt: 0, isRateLimited: true });
    const more = said({ unit: 'requests', remaining: 50, resetMs: 9_000 });
    clamp.learn(more, { now: 110, sentAt: 90, isRateLimited: false });
    expect(clamp.blockedMs(rpm, 1, 110)).toBe(8_990);
    clamp.learn(more, { now: 130, sentAt: 120, isRateLimited: false });
    expect(clamp.blockedMs(rpm, 1, 130)).toBe(0);
  });

  it('says nothing by Retry-After when it is none', () => {
    const clamp = setUp();
    clamp.learn({ retryAfterMs: 5_000, dimensions: [] }, ok);
    expect(waits(clamp, 0)).toEqual([0, 0, 0, 0]);
  });

  it('waits for the day of the provider even if we count by the minute, and for no longer than a window otherwise', () => {
    const clamp = new ProviderClamp([window('requests', minuteMs)]);
    clamp.learn(said({ unit: 'requests', windowMs: dayMs, remaining: 0, resetMs: 5 * hourMs }), refused);
    expect(clamp.blockedMs(rpm, 1, 0)).toBe(5 * hourMs);
    clamp.learn(said({ unit: 'requests', remaining: 0, resetMs: 5 * hourMs }), { ...refused, now: 1 });
    expect(clamp.blockedMs(rpm, 1, 1)).toBe(minuteMs);
    clamp.learn({ retryAfterMs: 400 * dayMs, dimensions: [] }, { ...refused, now: 2 });
    expect(clamp.blockedMs(rpm, 1, 2)).toBe(hourMs);
  });

  it('holds for no longer than it said when the clock goes back', () => {
    const clamp = setUp();
    clamp.learn(
      { retryAfterMs: 5_000, ...said({ unit: 'tokens', remaining: 1, resetMs: 9_000 }) },
      { ...refused, now: 1e6 },
    );
    expect(waits(clamp, 0, 2)).toEqual([5_000, 9_000, 5_000, 5_000]);
  });
});

describe('whatever providers say', () => {
  it('never blocks for longer than the longest that was said or than the longest window, and always lets go', () => {
    const header = fc.record(
      {
        unit: fc.constantFrom('requests', 'tokens', 'images', 'concurrency'),
        windowMs: fc.constantFrom(1_000, minuteMs, dayMs),
        limit: fc.nat(1_000),
        remaining: fc.nat(1_000),
        resetMs: fc.nat(10 * dayMs),
        isRefilling: fc.boolean(),
      },
      { requiredKeys: ['unit'] },
    );
    const limits = fc.record(
      { dimensions: fc.array(header, { maxLength: 4 }), retryAfterMs: fc.nat(10 * dayMs) },
      { requiredKeys: ['dimensions'] },
    );
    const answer = fc.record({
      limits,
      isRateLimited: fc.boolean(),
      agoMs: fc.nat(1_000),
      stepMs: fc.nat(minuteMs),
    });
    fc.assert(
      fc.property(fc.array(answer, { maxLength: 20 }), fc.nat(2_000), (answers, amount) => {
        const clamp = setUp();
        let now = 0;
        let saidUntil = 0;
        for (const { limits, isRateLimited, agoMs, stepMs } of answers) {
          now += stepMs;
          clamp.learn(limits, { now, sentAt: now - agoMs, isRateLimited });
          clamp.onTake([1, amount, 1, 1]);
          const resets = limits.dimensions.map(({ resetMs = minuteMs }) => resetMs);
          saidUntil = Math.max(saidUntil, now + Math.max(0, isRateLimited ? (limits.retryAfterMs ?? 0) : 0, ...resets));
          for (const ms of waits(clamp, now, amount)) {
            expect(ms).toBeGreaterThanOrEqual(0);
            expect(ms).toBeLessThanOrEqual(Math.min(saidUntil - now, 25 * hourMs));
          }
        }
        expect(waits(clamp, now + 25 * hourMs, amount)).toEqual([0, 0, 0, 0]);
      }),
      { numRuns: 500 },
    );
  });
});
