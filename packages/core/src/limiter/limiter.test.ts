import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../testing/index.js';
import { createLimiter, type LimiterEvent, type LimiterOptions } from './index.js';

function setUp(options: Partial<LimiterOptions> = {}) {
  const clock = createFakeClock();
  const events: LimiterEvent[] = [];
  const onEvent = (event: LimiterEvent): void => void events.push(event);
  const limiter = createLimiter({ name: 'test', limit: 10, window: '1s', clock, onEvent, ...options });
  return { clock, events, limiter };
}

describe('tryTake', () => {
  it('lets the burst through at once, then one unit for each share of the window', async () => {
    const { limiter, clock } = setUp({ limit: 10, window: '1s', burst: 3 });
    const taken = (): boolean[] => Array.from({ length: 4 }, () => limiter.tryTake().ok);
    expect(taken()).toEqual([true, true, true, false]);
    await clock.advance(100);
    expect(taken()).toEqual([true, false, false, false]);
    await clock.advance(250);
    expect(taken()).toEqual([true, true, false, false]);
    await clock.advance(60_000);
    expect(taken()).toEqual([true, true, true, false]);
  });

  it('says what is left, when the bucket is full again, and who counted', () => {
    const { limiter } = setUp({ limit: 10, window: '1s', burst: 2 });
    expect(limiter.tryTake()).toEqual({ ok: true, limit: 10, remaining: 1, resetMs: 100, decidedBy: 'local' });
    expect(limiter.tryTake()).toEqual({ ok: true, limit: 10, remaining: 0, resetMs: 200, decidedBy: 'local' });
    expect(limiter.tryTake()).toEqual({
      ok: false,
      reason: 'quota',
      dimension: 'requests',
      limit: 10,
      remaining: 0,
      waitMs: 100,
      resetMs: 200,
      decidedBy: 'local',
    });
  });

  it('counts each key apart', () => {
    const { limiter } = setUp({ burst: 1 });
    expect([limiter.tryTake('a').ok, limiter.tryTake('a').ok, limiter.tryTake('b').ok, limiter.tryTake().ok]).toEqual([
      true,
      false,
      true,
      true,
    ]);
  });

  it('takes nothing when it refuses', async () => {
    const { limiter, clock } = setUp({ limit: 10, window: '1s', burst: 10 });
    limiter.tryTake('', 9);
    for (let knock = 0; knock < 1_000; knock++)
      expect(limiter.tryTake('', 5)).toMatchObject({ ok: false, waitMs: 400 });
    expect(limiter.tryTake('', 1).ok).toBe(true);
    await clock.advance(500);
    expect(limiter.tryTake('', 5).ok).toBe(true);
  });

  it('takes fractions of a unit, and nothing for a weight of 0, which always passes', () => {
    const { limiter } = setUp({ burst: 1 });
    expect(limiter.tryTake('', 0.75)).toMatchObject({ ok: true, remaining: 0 });
    expect(limiter.tryTake('', 0.5)).toMatchObject({ ok: false, waitMs: 25 });
    expect(limiter.tryTake('', 0.25).ok).toBe(true);
    expect(limiter.tryTake('', 0.001).ok).toBe(false);
    expect(limiter.tryTake('', 0).ok).toBe(true);
  });

  it('calls impossible what is above the burst, however empty or full the bucket', () => {
    const { limiter } = setUp({ limit: 10, burst: 3 });
    const impossible = { ok: false, reason: 'impossible', waitMs: Number.POSITIVE_INFINITY };
    expect(limiter.tryTake('', 3.5)).toMatchObject({ ...impossible, remaining: 3, resetMs: 0 });
    limiter.tryTake('', 3);
    expect(limiter.tryTake('', 4)).toMatchObject(impossible);
    expect(limiter.tryTake('', Number.POSITIVE_INFINITY)).toMatchObject(impossible);
    expect(limiter.tryTake('', 3)).toMatchObject({ reason: 'quota', waitMs: 300 });
  });

  it.each([{}, Promise.resolve('a'), 5, null])(
    'throws for the key %s, which would give every call a bucket of its own',
    (key) => {
      expect(() => setUp().limiter.tryTake(key as string)).toThrow(/option 'key' must be a string, got/);
    },
  );

  it('lets one through at a time where the limit is below one in a window', async () => {
    const { limiter, clock } = setUp({ limit: 0.5, window: '1s' });
    expect(limiter.tryTake().ok).toBe(true);
    expect(limiter.tryTake()).toMatchObject({ ok: false, reason: 'quota', waitMs: 2_000 });
    await clock.advance(2_000);
    expect(limiter.tryTake().ok).toBe(true);
    expect(() => setUp({ burst: 0.5 })).toThrow(/option 'burst' must be a number from 1 up, got 0.5/);
  });

  it.each([-1, Number.NaN])('throws for a weight of %s', (weight) => {
    expect(() => setUp().limiter.tryTake('', weight)).toThrow(/option 'weight' must be a number from 0 up, got/);
  });

  it('reports each decision once', () => {
    const { limiter, events } = setUp({ limit: 10, burst: 1 });
    limiter.tryTake();
    limiter.tryTake('', 0.5);
    expect(events).toEqual([
      { type: 'limiter.allowed', limiter: 'test', weight: 1, remaining: 0, waitMs: 0 },
      { type: 'limiter.refused', limiter: 'test', weight: 0.5, remaining: 0, waitMs: 50 },
    ]);
  });
});

const traffic = fc.record({
  limit: fc.integer({ min: 1, max: 50 }),
  windowMs: fc.integer({ min: 1, max: 100_000 }),
  burst: fc.integer({ min: 1, max: 80 }),
  requests: fc.array(
    fc.record({
      gapMs: fc.double({ min: 0, max: 40_000, noNaN: true }),
      weight: fc.double({ min: 0, max: 20, noNaN: true }),
    }),
    { maxLength: 80 },
  ),
});

describe('against an exact log of what was admitted', () => {
  it('never admits more than burst + limit in any window', () =>
    fc.assert(
      fc.asyncProperty(traffic, async ({ limit, windowMs, burst, requests }) => {
        const { limiter, clock } = setUp({ limit, window: windowMs, burst });
        const admitted: { at: number; weight: number }[] = [];
        for (const { gapMs, weight } of requests) {
          await move(clock, gapMs % (windowMs / 2));
          if (limiter.tryTake('', weight).ok) admitted.push({ at: clock.now(), weight });
        }
        for (const { at: from } of admitted) {
          const inWindow = admitted.filter(({ at }) => at >= from && at <= from + windowMs);
          const sum = inWindow.reduce((total, { weight }) => total + weight, 0);
          expect(sum).toBeLessThanOrEqual((burst + limit) * (1 + 1e-9));
        }
      }),
      { numRuns: 60 },
    ));

  it('admits exactly what an honest bucket would: nothing is lost to refusals', () =>
    fc.assert(
      fc.asyncProperty(traffic, async ({ limit, windowMs, burst, requests }) => {
        const { limiter, clock } = setUp({ limit, window: windowMs, burst });
        let level = burst;
        let last = 0;
        for (const { gapMs, weight } of requests) {
          await move(clock, gapMs % (windowMs / 2));
          level = Math.min(burst, level + ((clock.now() - last) * limit) / windowMs);
          last = clock.now();
          const { ok } = limiter.tryTake('', weight);
          if (Math.abs(level - weight) > 1e-6) expect(ok).toBe(weight < level);
          if (ok) level -= weight;
        }
      }),
      { numRuns: 60 },
    ));

  it('names the exact wait: then the request passes, and just before it does not', () =>
    fc.assert(
      fc.asyncProperty(
        fc.record({
          startMs: fc.double({ min: 0, max: 1e9, noNaN: true }),
          limit: fc.integer({ min: 1, max: 10_000 }),
          windowMs: fc.double({ min: 100, max: 86_400_000, noNaN: true }),
          burst: fc.integer({ min: 1, max: 10_000 }),
          share: fc.double({ min: 0.01, max: 1, noNaN: true }),
        }),
        async ({ startMs, limit, windowMs, burst, share }) => {
          const { limiter, clock } = setUp({ limit, window: windowMs, burst });
          await move(clock, startMs);
          limiter.tryTake('', burst);
          const weight = burst * share;
          const refused = limiter.tryTake('', weight);
          if (refused.ok) throw new Error('An empty bucket gave something.');
          const unitMs = windowMs / limit;
          expect(refused.waitMs).toBeCloseTo(weight * unitMs, -Math.log10(Math.max(1, startMs + burst * unitMs)) + 12);
          const earlyMs = refused.waitMs * (1 - 1e-3);
          if (refused.waitMs - earlyMs > 1e-3) {
            await move(clock, earlyMs);
            expect(limiter.tryTake('', weight).ok).toBe(false);
            await move(clock, refused.waitMs - earlyMs);
          } else await move(clock, refused.waitMs);
          expect(limiter.tryTake('', weight).ok).toBe(true);
        },
      ),
      { numRuns: 300 },
    ));

  it('keeps the exact wait of a day’s quota on a process that has just begun', async () => {
    const { limiter, clock } = setUp({ limit: 1_000, window: '1d' });
    for (let taken = 0; taken < 1_000; taken++) {
      await move(clock, 0.1);
      limiter.tryTake();
    }
    for (let round = 0; round < 50; round++) {
      const refused = limiter.tryTake();
      if (refused.ok) throw new Error('The quota is used up.');
      await move(clock, refused.waitMs);
      expect(limiter.tryTake().ok).toBe(true);
    }
  });
});

/** No timers are due here, so the clock may move without asking for them. */
function move(clock: ReturnType<typeof createFakeClock>, ms: number): Promise<void> {
  return clock.advance(ms);
}

describe('maxKeys', () => {
  it('forgets the key unused for longest, which starts anew', () => {
    const { limiter } = setUp({ limit: 1, window: '1h', maxKeys: 2 });
    limiter.tryTake('a');
    limiter.tryTake('b');
    limiter.tryTake('c');
    expect(limiter.tryTake('b').ok).toBe(false);
    expect(limiter.tryTake('c').ok).toBe(false);
    expect(limiter.tryTake('a').ok).toBe(true);
  });

  it('remembers a key that keeps knocking, though it is refused', () => {
    const { limiter } = setUp({ limit: 1, window: '1h', maxKeys: 2 });
    limiter.tryTake('knocks');
    for (let other = 0; other < 10; other++) {
      limiter.tryTake(`other ${other}`);
      expect(limiter.tryTake('knocks').ok).toBe(false);
    }
  });
});

describe('options', () => {
  const good = { name: 'x', limit: 1, window: '1s' };
  it.each([
    [{ ...good, name: undefined }, 'name'],
    [{ ...good, limit: 0 }, 'limit'],
    [{ ...good, limit: Number.NaN }, 'limit'],
    [{ ...good, limit: Number.POSITIVE_INFINITY }, 'limit'],
    [{ ...good, window: 0 }, 'window'],
    [{ ...good, window: '1 min' }, 'window'],
    [{ ...good, burst: -1 }, 'burst'],
    [{ ...good, maxKeys: 0 }, 'maxKeys'],
    [{ ...good, maxkeys: 5 }, 'maxkeys'],
  ])('refuses %j, naming %s', (options, name) => {
    expect(() => createLimiter(options as unknown as LimiterOptions)).toThrow(
      expect.objectContaining({ code: 'WP_BAD_OPTION', message: expect.stringContaining(`'${name}'`) }),
    );
  });
});
