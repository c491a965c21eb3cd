/*
 * What limits promise, by lists of charges that are added up anew for each question: slow and obvious. Instants are milliseconds
 * on the scale of whoever decides. Nothing here knows how a meter counts, only what it may and what it must allow.
 */

export interface OracleCharge {
  readonly at: number;
  amount: number;
}

/** Sums of doubles are off in their last digits: so much more may be allowed, and a decision ought to allow for half of it. */
const slack = 2e-9;

/** Everything that was charged. */
export class ChargeLog {
  readonly charges: OracleCharge[] = [];

  charge(amount: number, at: number): void {
    this.charges.push({ at, amount });
  }

  /** As if so much had never been charged at that instant. */
  refund(amount: number, chargedAt: number): void {
    let back = amount;
    for (const charge of this.charges) {
      if (charge.at !== chargedAt) continue;
      const part = Math.min(back, charge.amount);
      charge.amount -= part;
      back -= part;
    }
  }

  sum(where: (at: number) => boolean): number {
    return this.charges.reduce((sum, { at, amount }) => (where(at) ? sum + amount : sum), 0);
  }

  /** The most in any stretch of time of that length, without its end. The charges are in the order of time. */
  most(lengthMs: number): number {
    let most = 0;
    for (const [first, { at: start }] of this.charges.entries()) {
      let sum = 0;
      for (let index = first; index < this.charges.length; index++) {
        const charge = this.charges[index];
        if (charge === undefined || charge.at >= start + lengthMs) break;
        sum += charge.amount;
      }
      most = Math.max(most, sum);
    }
    return most;
  }
}

/** A limit on any window of a length. */
export class WindowOracle extends ChargeLog {
  readonly windowMs: number;

  constructor(windowMs: number) {
    super();
    this.windowMs = windowMs;
  }

  /** Whether the window that ends now has room: nothing else may be allowed. */
  mayAllow(amount: number, limit: number, now: number): boolean {
    return mayFit(amount, this.#used(now, this.windowMs), limit);
  }

  /** Whether even a window that is longer by 1/64 has room: that must be allowed, or the limit is not usable. */
  mustAllow(amount: number, limit: number, now: number): boolean {
    return mustFit(amount, this.#used(now, this.windowMs * (1 + 1 / 64)), limit);
  }

  #used(now: number, windowMs: number): number {
    return this.sum((at) => at + windowMs > now);
  }
}

/** A pace: in any stretch of time no more than the burst and what comes back during it (ITU-T I.371). */
export class PaceOracle extends ChargeLog {
  readonly burst: number;
  readonly unitMs: number;

  constructor(burst: number, unitMs: number) {
    super();
    this.burst = burst;
    this.unitMs = unitMs;
  }

  /** By how much the fullest of all stretches that end now exceeds what comes back during it. */
  level(now: number): number {
    let level = 0;
    for (const { at: start } of this.charges)
      level = Math.max(level, this.sum((at) => at >= start) - (now - start) / this.unitMs);
    return level;
  }

  mayAllow(amount: number, now: number): boolean {
    return amount === 0 || this.level(now) + amount <= this.burst * (1 + slack);
  }

  mustAllow(amount: number, now: number): boolean {
    return amount === 0 || this.level(now) + amount <= this.burst;
  }
}

/** A limit on each period of a calendar, while nobody sets the clock. */
export class CalendarOracle extends ChargeLog {
  readonly per: 'hour' | 'day' | 'week' | 'month';
  readonly timeZone: string;

  constructor(per: 'hour' | 'day' | 'week' | 'month', timeZone: string) {
    super();
    this.per = per;
    this.timeZone = timeZone;
  }

  /** What the calendar on the wall and the clock beside it call the present period. */
  label(wall: number): string {
    return periodLabel(wall, this.per, this.timeZone);
  }

  mayAllow(amount: number, limit: number, wall: number): boolean {
    return mayFit(amount, this.#used(wall), limit);
  }

  mustAllow(amount: number, limit: number, wall: number): boolean {
    return mustFit(amount, this.#used(wall), limit);
  }

  #used(wall: number): number {
    const label = this.label(wall);
    return this.sum((at) => this.label(at) === label);
  }
}

/** More than a limit that was reduced may be taken where nothing else counts. */
function mayFit(amount: number, used: number, limit: number): boolean {
  return amount === 0 || used + amount <= limit * (1 + slack) || (limit > 0 && used <= limit * slack);
}

function mustFit(amount: number, used: number, limit: number): boolean {
  return amount === 0 || used + amount <= limit || (limit > 0 && used === 0);
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** The name of an hour, day, week or month in a time zone: equal for two instants if they are in the same one. */
export function periodLabel(wall: number, per: 'hour' | 'day' | 'week' | 'month', timeZone: string): string {
  let format = formats.get(timeZone);
  if (format === undefined) {
    const day = { year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit' } as const;
    format = new Intl.DateTimeFormat('sv-SE', { timeZone, ...day, timeZoneName: 'longOffset' });
    formats.set(timeZone, format);
  }
  const text = format.format(wall); // such as '2026-03-29 03 GMT+02:00'
  const date = text.slice(0, 10);
  if (per === 'hour') return text;
  if (per === 'month') return date.slice(0, 7);
  return per === 'day' ? date : `week ${Math.floor((Date.parse(date) / 86_400_000 + 3) / 7)}`;
}
