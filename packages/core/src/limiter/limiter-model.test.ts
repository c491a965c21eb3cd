import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CalendarOracle, WindowOracle } from '../../test/limiter-oracle.js';
import { createFakeClock } from '../testing/index.js';
import { createLimiter, type Decision, type Lease, type Limiter } from './index.js';

/*
 * The whole limiter, on virtual time, against lists of what it has let through: whoever asks, waits, leaves, reserves and settles
 * in whichever order, while clocks are set and the process begins anew, no window holds more than its limit and what was owed
 * beyond reservations, no day more than its quota.
 */

const windowMs = 10_000;
const limits = { requests: 10, tokens: 1_000, day: 60 } as const;
const keys = ['a', 'b'] as const;
type Key = (typeof keys)[number];

type Step =
  | { readonly do: 'tryTake'; readonly key: Key; readonly tokens: number }
  | {
      readonly do: 'take';
      readonly key: Key;
      readonly tokens: number;
      readonly timeout: number;
      readonly tenant: string;
    }
  | { readonly do: 'reserve'; readonly key: Key; readonly tokens: number }
  | { readonly do: 'settle'; readonly which: number; readonly share: number }
  | { readonly do: 'abort'; readonly which: number }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'stepWall'; readonly ms: number };

const key = fc.constantFrom(...keys);
const tokens = fc.oneof(fc.integer({ min: 0, max: 1_000 }), fc.double({ min: 0, max: 300, noNaN: true }));
const step: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: fc.record({ do: fc.constant('tryTake' as const), key, tokens }), weight: 3 },
  {
    arbitrary: fc.record({
      do: fc.constant('take' as const),
      key,
      tokens,
      timeout: fc.constantFrom(0, 500, 30_000, 1_000_000),
      tenant: fc.constantFrom('x', 'y'),
    }),
    weight: 5,
  },
  { arbitrary: fc.record({ do: fc.constant('reserve' as const), key, tokens }), weight: 3 },
  {
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      which: fc.nat(20),
      share: fc.constantFrom(0, 0.3, 1, 1.5),
    }),
    weight: 3,
  },
  { arbitrary: fc.record({ do: fc.constant('abort' as const), which: fc.nat(20) }), weight: 1 },
  {
    arbitrary: fc.record({
      do: fc.constant('advance' as const),
      ms: fc.oneof(fc.constantFrom(0, 1, 2_000, 10_000), fc.integer({ min: 0, max: 15_000 })),
    }),
    weight: 5,
  },
  {
    arbitrary: fc.record({
      do: fc.constant('stepWall' as const),
      ms: fc.constantFrom(-7_200_000, -5_000, 5_000, 3_600_000),
    }),
    weight: 1,
  },
);

interface Held {
  readonly lease: Lease;
  readonly key: Key;
  readonly at: number;
  readonly tokens: number;
  readonly expiresAt: number;
}

class Run {
  readonly clock = createFakeClock(Date.UTC(2026, 0, 1, 6));
  readonly #logs = new Map<
    Key,
    { readonly requests: WindowOracle; readonly tokens: WindowOracle; readonly day: CalendarOracle }
  >();
  readonly #controllers: AbortController[] = [];
  readonly #held: Held[] = [];
  readonly #owed = new Map<Key, number>();
  readonly limiter: Limiter;
  /** What ought not to have happened. */
  readonly failures: unknown[] = [];
  /** Of takes that have been called for and have not ended. */
  open = 0;
  /** Whether the time of day has been set, after which a day is what the limiter takes for it. */
  #isSet = false;

  constructor() {
    for (const each of keys) {
      this.#logs.set(each, {
        requests: new WindowOracle(windowMs),
        tokens: new WindowOracle(windowMs),
        day: new CalendarOracle('hour', 'Asia/Kolkata'),
      });
    }
    this.limiter = createLimiter({
      name: 'model',
      limits: [
        { limit: limits.requests, window: windowMs },
        { unit: 'tokens', limit: limits.tokens, window: windowMs },
        { limit: limits.day, per: 'hour', timeZone: 'Asia/Kolkata' },
      ],
      leaseTtl: '20s',
      clock: this.clock,
    });
  }

  async apply(each: Step): Promise<void> {
    if (each.do === 'advance') await this.clock.advance(each.ms);
    else if (each.do === 'stepWall') {
      this.clock.stepWall(each.ms);
      this.#isSet = true;
    } else if (each.do === 'tryTake')
      this.#heard(each.key, each.tokens, this.limiter.tryTake(each.key, { tokens: each.tokens }));
    else if (each.do === 'take') this.#take(each);
    else if (each.do === 'reserve') this.#reserve(each.key, each.tokens);
    else if (each.do === 'settle') this.#settle(each);
    else {
      this.#controllers[each.which % Math.max(1, this.#controllers.length)]?.abort(new Error('left'));
    }
  }

  check(): void {
    expect(this.failures).toEqual([]);
    for (const [each, { requests, tokens, day }] of this.#logs) {
      expect(requests.most(windowMs)).toBeLessThanOrEqual(limits.requests);
      expect(tokens.most(windowMs)).toBeLessThanOrEqual((limits.tokens + (this.#owed.get(each) ?? 0)) * (1 + 1e-9));
      if (this.#isSet) continue;
      for (const { at } of day.charges) {
        expect(day.sum((other) => day.label(other) === day.label(at))).toBeLessThanOrEqual(limits.day);
      }
    }
  }

  #take({ key, tokens, timeout, tenant }: Extract<Step, { do: 'take' }>): void {
    const controller = new AbortController();
    this.#controllers.push(controller);
    this.open++;
    const began = this.clock.now();
    const over = (): void => {
      this.open--;
    };
    this.limiter.take(key, { tokens }, { timeout, tenant, signal: controller.signal }).then((decision) => {
      over();
      if (decision.ok) expect(controller.signal.aborted).toBe(false);
      expect(this.clock.now() - began).toBeLessThanOrEqual(timeout);
      this.#heard(key, tokens, decision);
    }, over);
  }

  #reserve(key: Key, tokens: number): void {
    const reservation = this.limiter.tryReserve(key, { tokens });
    this.#heard(key, tokens, reservation);
    if (!reservation.ok) return;
    const at = this.clock.now();
    this.#held.push({ lease: reservation.lease, key, at, tokens, expiresAt: at + 20_000 });
  }

  #settle({ which, share }: Extract<Step, { do: 'settle' }>): void {
    const [held] = this.#held.splice(which % Math.max(1, this.#held.length), 1);
    if (!held) return;
    const { lease, key, at, tokens, expiresAt } = held;
    lease.settle({ tokens: tokens * share });
    if (this.clock.now() >= expiresAt) return;
    const log = this.#logs.get(key);
    if (share <= 1) log?.tokens.refund(tokens * (1 - share), at);
    else {
      const owed = tokens * (share - 1);
      this.#owed.set(key, (this.#owed.get(key) ?? 0) + owed);
      log?.tokens.charge(owed, this.clock.now());
    }
  }

  #heard(key: Key, tokens: number, decision: Decision): void {
    if (!decision.ok) {
      if (!(decision.waitMs > 0)) this.failures.push(decision);
      return;
    }
    const log = this.#logs.get(key);
    log?.requests.charge(1, this.clock.now());
    log?.tokens.charge(tokens, this.clock.now());
    log?.day.charge(1, this.clock.wall());
  }
}

describe('a limiter', () => {
  it('never lets more through than its limits, whoever does what and when', { timeout: 60_000 }, () =>
    fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80, size: 'max' }), async (steps) => {
        const run = new Run();
        for (const each of steps) {
          await run.apply(each);
          await run.clock.settle();
        }
        run.check();
        // Whoever still waits is served or refused in time, and then nothing is left behind.
        await run.clock.advance(2_000_000);
        run.check();
        expect(run.open).toBe(0);
        expect(run.clock.pending).toBe(0);
        expect(run.limiter.status().waiting).toBe(0);
      }),
      { numRuns: 150 },
    ),
  );

  it('replays a day of quota: what a provider allows is spent, and no more', async () => {
    const clock = createFakeClock(Date.UTC(2026, 5, 1, 7));
    const limiter = createLimiter({
      name: 'provider',
      limits: [
        { limit: 60, window: '1m', burst: 1 },
        { limit: 10_000, per: 'day', timeZone: 'America/Los_Angeles' },
      ],
      clock,
      timeout: '7d',
      maxWaiting: 20_000,
    });
    const perDay = new CalendarOracle('day', 'America/Los_Angeles');
    const perMinute = new WindowOracle(60_000);
    for (let call = 0; call < 15_000; call++) {
      void limiter.take().then(() => {
        perDay.charge(1, clock.wall());
        perMinute.charge(1, clock.now());
      });
    }
    await clock.advance(86_400_000);
    const first = perDay.label(Date.UTC(2026, 5, 1, 7));
    expect(perDay.sum((at) => perDay.label(at) === first)).toBe(10_000);
    await clock.advance(86_400_000);
    expect(perDay.charges.length).toBe(15_000);
    expect(perMinute.most(60_000)).toBeLessThanOrEqual(60);
    expect(clock.pending).toBe(0);
  });
});
