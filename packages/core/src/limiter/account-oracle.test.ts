import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CalendarOracle, type ChargeLog, PaceOracle, WindowOracle } from '../../test/limiter-oracle.js';
import { Account, type TakeOptions } from './account.js';
import type { Dimension, WindowDimension } from './dimensions.js';

type Command =
  | { readonly do: 'take'; readonly parts: readonly number[]; readonly factor: number; readonly ttlMs: number }
  | { readonly do: 'charge'; readonly parts: readonly number[] }
  | { readonly do: 'refund'; readonly which: number; readonly part: number }
  | { readonly do: 'release'; readonly which: number }
  | { readonly do: 'pause'; readonly ms: number };

interface Charged {
  readonly at: number;
  /** What may still come back. */
  readonly amounts: number[];
}

const noon = Date.UTC(2026, 2, 8, 20); // of the day on which Los Angeles has 23 hours
const zone = 'America/Los_Angeles';

/** An account, what it promised, and what led there: each refusal is tried on another account that was never refused. */
class Trial {
  readonly dimensions: readonly Dimension[];
  readonly account: Account;
  readonly logs: readonly (WindowOracle | CalendarOracle | undefined)[];
  readonly paces: readonly (PaceOracle | undefined)[];
  readonly holds = new Map<string, number>();
  readonly charged: Charged[] = [];
  readonly effects: ((account: Account) => void)[] = [];
  /** Of the last refusal: the pause after which something may be allowed at its first instant. */
  lastWaitMs = 0;
  now = 0;
  isPaced = true;

  constructor(dimensions: readonly Dimension[]) {
    this.dimensions = dimensions;
    this.account = new Account(dimensions);
    this.logs = dimensions.map((each) => {
      if (each.kind === 'window') return new WindowOracle(each.windowMs);
      return each.kind === 'calendar' ? new CalendarOracle(each.per, each.timeZone) : undefined;
    });
    this.paces = dimensions.map((each) => (each.kind === 'window' ? paceOf(each) : undefined));
  }

  run(command: Command): void {
    if (command.do === 'take') this.take(command.parts, command.factor, command.ttlMs);
    else if (command.do === 'charge') this.charge(command.parts);
    else if (command.do === 'refund') this.refund(command.which, command.part);
    else if (command.do === 'release') this.release(command.which);
    else this.now += command.ms === waited ? this.lastWaitMs : command.ms;
  }

  take(parts: readonly number[], factor: number, ttlMs: number): void {
    const { now } = this;
    const wall = noon + now;
    const amounts = this.#amounts(parts);
    const limits = this.dimensions.map(({ limit }) => limit * factor);
    const lease = ttlMs > 0 ? { id: `${this.effects.length}`, expiresAt: now + ttlMs } : undefined;
    if (factor < 1) this.isPaced = false; // the pace is then another, and the oracle knows but one
    const options: TakeOptions = { limits, ...(lease && { lease }) };
    const [may, must] = [this.#may(amounts, limits, !!lease), this.#must(amounts, limits, !!lease)];
    const verdict = this.account.take(amounts, now, wall, factor === 1 && !lease ? undefined : options);
    if (verdict.ok) expect(may, 'allowed, though there is no room').toBe(true);
    if (!verdict.ok) expect(must, 'refused, though there is room').toBe(false);
    expect(verdict.waitMs).toBe(Math.max(...verdict.waitsMs));
    expect(verdict.ok).toBe(verdict.waitMs === 0);
    if (verdict.ok) {
      this.#note(amounts, (account) => account.take(amounts, now, wall, options));
      if (lease) this.holds.set(lease.id, lease.expiresAt);
    } else {
      this.#tryAgain(amounts, verdict.waitMs, options);
      this.lastWaitMs = verdict.waitMs;
    }
  }

  charge(parts: readonly number[]): void {
    const { now } = this;
    const amounts = this.#amounts(parts);
    this.account.charge(amounts, now, noon + now);
    this.#note(amounts, (account) => account.charge(amounts, now, noon + now));
  }

  refund(which: number, part: number): void {
    const { now } = this;
    const of = this.charged[which % Math.max(1, this.charged.length)];
    if (of === undefined) return;
    const back = of.amounts.map((amount) => amount * part);
    for (const [index, amount] of back.entries()) {
      of.amounts[index] = (of.amounts[index] ?? 0) - amount;
      this.logs[index]?.refund(amount, this.logs[index] instanceof CalendarOracle ? noon + of.at : of.at);
    }
    this.isPaced = false; // what comes back late may go at once, beside the burst
    this.#apply((account) => account.refund(back, of.at, noon + of.at, now, noon + now));
  }

  release(which: number): void {
    const id = [...this.holds.keys()][which % Math.max(1, this.holds.size)];
    if (id === undefined) return;
    this.holds.delete(id);
    this.#apply((account) => account.release(id));
  }

  #amounts(parts: readonly number[]): number[] {
    return this.dimensions.map((each, index) => {
      const most = each.kind === 'window' ? (each.burst ?? each.limit) : each.limit;
      const part = parts[index] ?? 0;
      return part === one ? Math.min(1, most) : part * most;
    });
  }

  #note(amounts: readonly number[], effect: (account: Account) => void): void {
    this.effects.push(effect);
    this.charged.push({ at: this.now, amounts: [...amounts] });
    for (const [index, amount] of amounts.entries()) {
      const log: ChargeLog | undefined = this.logs[index];
      log?.charge(amount, log instanceof CalendarOracle ? noon + this.now : this.now);
      this.paces[index]?.charge(amount, this.now);
    }
  }

  #apply(effect: (account: Account) => void): void {
    effect(this.account);
    this.effects.push(effect);
  }

  #may(amounts: readonly number[], limits: readonly number[], needsPlace: boolean): boolean {
    return amounts.every((amount, index) => {
      const log = this.logs[index];
      const limit = limits[index] ?? 0;
      if (log instanceof CalendarOracle) return log.mayAllow(amount, limit, noon + this.now);
      if (log === undefined) return !needsPlace || this.#hasPlace(limit);
      if (this.isPaced && this.paces[index]?.mayAllow(amount, this.now) === false) return false;
      return log.mayAllow(amount, limit, this.now);
    });
  }

  #must(amounts: readonly number[], limits: readonly number[], needsPlace: boolean): boolean {
    return amounts.every((amount, index) => {
      const log = this.logs[index];
      const limit = limits[index] ?? 0;
      if (log instanceof CalendarOracle) return log.mustAllow(amount, limit, noon + this.now);
      if (log === undefined) return !needsPlace || this.#hasPlace(limit);
      if (this.paces[index] && !this.isPaced) return false;
      return log.mustAllow(amount, limit, this.now) && this.paces[index]?.mustAllow(amount, this.now) !== false;
    });
  }

  #hasPlace(limit: number): boolean {
    const held = [...this.holds.values()].filter((expiresAt) => expiresAt > this.now);
    return held.length + 1 <= Math.max(1, limit);
  }

  /** On an account that was never refused. */
  #tryAgain(amounts: readonly number[], waitMs: number, options: TakeOptions): void {
    const other = new Account(this.dimensions);
    for (const effect of this.effects) effect(other);
    const wall = noon + this.now;
    expect(rounded(other.used(this.now, wall))).toEqual(rounded(this.account.used(this.now, wall)));
    expect(rounded(other.look(amounts, this.now, wall).remaining)).toEqual(
      rounded(this.account.look(amounts, this.now, wall).remaining),
    );
    const longest = Math.max(...this.dimensions.map((each) => (each.kind === 'window' ? each.windowMs : 0)));
    const early = waitMs - longest * 1e-7 - (wall + waitMs) * 1e-12;
    if (early > 0) {
      const refusal = other.take(amounts, this.now + early, wall + early, options);
      expect(refusal.ok, `${early} ms later, before the wait is over`).toBe(false);
    }
    const at = this.now + waitMs;
    expect(other.take(amounts, at, noon + at, options).ok, `${waitMs} ms later`).toBe(true);
  }
}

/** For a pause: as long as the last refusal said. */
const waited = -1;
/** For an amount: 1, or what the dimension holds if that is less. */
const one = -1;

function rounded(amounts: readonly number[]): number[] {
  return amounts.map((amount) => Math.round(amount * 1e6) / 1e6 + 0);
}

function paceOf({ limit, windowMs, burst }: WindowDimension): PaceOracle | undefined {
  if (burst === undefined || burst === limit) return undefined;
  const unitMs = burst <= limit / 64 ? (windowMs * 65) / 64 / (limit - burst) : windowMs / limit;
  return new PaceOracle(burst, unitMs);
}

const windowMs = fc.constantFrom(1, 64, 1_000, 60_000, 86_400_000);
const limit = fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constantFrom(0.3, 2.5, 100, 1e6));
const burst = fc.constantFrom(undefined, undefined, 1, 0.5, 0.01);
const windowDimension = fc.record({ windowMs, limit, burst }).map(({ windowMs, limit, burst }): Dimension => {
  const paced = burst === undefined ? undefined : burst * limit;
  return { kind: 'window', name: 'window', unit: 'requests', limit, windowMs, burst: paced };
});
const calendarDimension = fc
  .record({ limit, per: fc.constantFrom('hour', 'day', 'week', 'month') })
  .map((each): Dimension => ({ kind: 'calendar', name: 'calendar', unit: 'requests', timeZone: zone, ...each }));
const concurrencyDimension = fc
  .integer({ min: 1, max: 3 })
  .map((limit): Dimension => ({ kind: 'concurrency', name: 'concurrency', unit: 'concurrency', limit }));
const dimension = fc.oneof(
  { weight: 5, arbitrary: windowDimension },
  { weight: 1, arbitrary: calendarDimension },
  { weight: 1, arbitrary: concurrencyDimension },
);

const part = fc.oneof(fc.constantFrom(0, one, one, 0.125, 0.5, 1), fc.double({ min: 0, max: 1, noNaN: true }));
const parts = fc.array(part, { minLength: 3, maxLength: 3 });
const pauseMs = fc.oneof(
  fc.constantFrom(0, 0, waited, waited, waited, 1, 15.625, 60, 937.5, 1_000, 3_600_000, 86_400_000, 4e9),
  fc.double({ min: 0, max: 2_000, noNaN: true }),
);
const taking = { parts, factor: fc.constant(1), ttlMs: fc.constantFrom(0, 0, 10, 5_000, 1e8) };
const take = fc.record({ do: fc.constant('take' as const), ...taking });
const takeOfLess = fc.record({ do: fc.constant('take' as const), ...taking, factor: fc.constantFrom(0.1, 0.5, 1) });
const charge = fc.record({ do: fc.constant('charge' as const), parts });
const refund = fc.record({ do: fc.constant('refund' as const), which: fc.nat(), part: fc.constantFrom(0.25, 0.9, 1) });
const release = fc.record({ do: fc.constant('release' as const), which: fc.nat() });
const pause = fc.record({ do: fc.constant('pause' as const), ms: pauseMs });
const often = [
  { weight: 10, arbitrary: take },
  { weight: 7, arbitrary: pause },
];

function trials(commands: fc.Arbitrary<Command>, then: (trial: Trial) => void, numRuns = 250): void {
  const dimensions = fc.array(dimension, { minLength: 1, maxLength: 3, size: 'max' });
  const script = fc.array(commands, { maxLength: 90, size: 'max' });
  fc.assert(
    fc.property(dimensions, script, (dimensions, script) => {
      const trial = new Trial(dimensions);
      for (const command of script) trial.run(command);
      then(trial);
    }),
    { numRuns },
  );
}

function expectWindowsKept({ dimensions, logs }: Trial, beyond = 0): void {
  for (const [index, { limit }] of dimensions.entries()) {
    const log = logs[index];
    if (log instanceof WindowOracle) expect(log.most(log.windowMs)).toBeLessThanOrEqual((limit + beyond) * (1 + 1e-9));
  }
}

describe('an account, against the exact log of what was charged', () => {
  it('never lets a window hold more than the limit, refuses no more than 1/64 of a window too long, and tells the exact wait', () => {
    trials(fc.oneof(...often), expectWindowsKept);
  });

  it('does so with refunds, late ones too, and places that are released', () => {
    const more = [refund, release].map((arbitrary) => ({ weight: 3, arbitrary }));
    trials(fc.oneof(...often, ...more), expectWindowsKept);
  });

  it('does so where charges overrun the limits: what follows waits for them', () => {
    trials(fc.oneof(...often, { weight: 2, arbitrary: charge }, { weight: 2, arbitrary: refund }), () => {});
  });

  it('does so with limits that change from one to the next', () => {
    const more = [refund, release].map((arbitrary) => ({ weight: 1, arbitrary }));
    trials(fc.oneof({ weight: 10, arbitrary: takeOfLess }, { weight: 7, arbitrary: pause }, ...more), () => {});
  });
});
