import type { Meter } from './meter.js';
import { fits, waitUntil } from './tolerance.js';

/** A charge counts for its window and at most this part of it longer. */
export const resolution: number = 1 / 64;

const fieldsPerEntry = 3;

/**
 * So much in any window of that length: a sliding log of bounded resolution, at most 65 entries. Charges within 1/64 of the
 * window share an entry, which counts until the last of them is a window old. So no window ever holds more than the limit,
 * and under load at least 64/65 of it is used. A charge is O(1), what leaves costs O(entries).
 */
export class SlidingLog implements Meter {
  readonly #windowMs: number;
  /** The newest entry, if its amount is not 0. */
  #firstAt: number = Number.NEGATIVE_INFINITY;
  #lastAt: number = Number.NEGATIVE_INFINITY;
  #amount = 0;
  /** Those before it, oldest first: the instants of their first and last charge, and their amount. The first to count is at `#head`. */
  #older: number[] | undefined = undefined;
  #head = 0;
  /** Of all that count. Made anew whenever it loses something, so that errors of doubles do not add up. */
  #sum = 0;
  /** When the oldest entry leaves. */
  #leavesAt: number = Number.POSITIVE_INFINITY;

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  waitMs(amount: number, limit: number, now: number): number {
    if (now >= this.#leavesAt) this.#expire(now);
    return fits(amount, this.#sum, limit) ? 0 : this.#waitMs(amount, limit, now);
  }

  /** Charges what fits at once. @returns what is left then; -1 where it does not fit, and nothing was charged */
  take(amount: number, limit: number, now: number): number {
    if (now >= this.#leavesAt) this.#expire(now);
    const sum = this.#sum + amount;
    if (sum > limit || amount <= 0) return -1;
    if (now - this.#firstAt < this.#windowMs * resolution) this.#amount += amount;
    else this.#begin(amount, now);
    this.#lastAt = now;
    this.#sum = sum;
    if (this.#older === undefined || this.#head === this.#older.length) this.#leavesAt = now + this.#windowMs;
    return limit - sum;
  }

  #begin(amount: number, now: number): void {
    if (this.#amount > 0) this.#keepNewest();
    this.#firstAt = now;
    this.#amount = amount;
  }

  charge(amount: number, now: number): void {
    if (!(amount > 0)) return;
    if (now >= this.#leavesAt) this.#expire(now);
    if (now - this.#firstAt < this.#windowMs * resolution) this.#amount += amount;
    else {
      if (this.#amount > 0) this.#keepNewest();
      this.#firstAt = now;
      this.#amount = amount;
    }
    this.#lastAt = now;
    this.#sum += amount;
    if (this.#older === undefined || this.#head === this.#older.length) this.#leavesAt = now + this.#windowMs;
  }

  refund(amount: number, chargedAt: number, now: number): void {
    this.takeBack(amount, chargedAt, now);
  }

  /** A refund. @returns how much came back: no more than the entry has, nothing where it has left */
  takeBack(amount: number, chargedAt: number, now: number): number {
    if (now >= this.#leavesAt) this.#expire(now);
    if (chargedAt >= this.#firstAt) {
      const before = this.#amount;
      this.#amount = less(before, amount);
      this.#add();
      return Math.min(before, amount);
    }
    const older = this.#older ?? [];
    let at = this.#head;
    while (at < older.length && (older[at + 1] as number) < chargedAt) at += fieldsPerEntry;
    // Between two entries nothing was charged: what was there has left.
    if (at >= older.length || (older[at] as number) > chargedAt) return 0;
    const before = older[at + 2] as number;
    older[at + 2] = less(before, amount);
    this.#add();
    return Math.min(before, amount);
  }

  used(now: number): number {
    if (now >= this.#leavesAt) this.#expire(now);
    return this.#sum;
  }

  /** How much could be taken now. */
  left(limit: number, now: number): number {
    return Math.max(0, limit - this.used(now));
  }

  resetMs(now: number): number {
    if (now >= this.#leavesAt) this.#expire(now);
    if (this.#sum === 0) return 0;
    if (this.#amount > 0) return waitUntil(this.#lastAt + this.#windowMs, now);
    const older = this.#older ?? [];
    let at = older.length - fieldsPerEntry;
    while (at > this.#head && older[at + 2] === 0) at -= fieldsPerEntry;
    return waitUntil((older[at + 1] as number) + this.#windowMs, now);
  }

  /** From the newest entry back: the first that leaves no room for the amount has to leave, and all before it do so earlier. */
  #waitMs(amount: number, limit: number, now: number): number {
    if (!(limit > 0)) return Number.POSITIVE_INFINITY;
    let kept = this.#amount;
    if (!fits(amount, kept, limit)) return waitUntil(this.#lastAt + this.#windowMs, now);
    const older = this.#older ?? [];
    let at = older.length - fieldsPerEntry;
    for (; at > this.#head; at -= fieldsPerEntry) {
      kept += older[at + 2] as number;
      if (!fits(amount, kept, limit)) break;
    }
    return waitUntil((older[at + 1] as number) + this.#windowMs, now);
  }

  #keepNewest(): void {
    this.#older ??= [];
    if (this.#head > 0 && this.#head * 2 >= this.#older.length) {
      this.#older.splice(0, this.#head);
      this.#head = 0;
    }
    this.#older.push(this.#firstAt, this.#lastAt, this.#amount);
  }

  #expire(now: number): void {
    const windowMs = this.#windowMs;
    const older = this.#older ?? [];
    let at = this.#head;
    while (at < older.length && (older[at + 1] as number) + windowMs <= now) at += fieldsPerEntry;
    if (at < older.length) this.#leavesAt = (older[at + 1] as number) + windowMs;
    else {
      older.length = 0;
      at = 0;
      this.#leavesAt = this.#lastAt + windowMs;
      if (now >= this.#leavesAt) {
        this.#amount = 0;
        this.#leavesAt = Number.POSITIVE_INFINITY;
      }
    }
    this.#head = at;
    this.#add();
  }

  /** In the order in which `#waitMs` adds, so that what it has foretold comes true to the last bit. */
  #add(): void {
    let sum = this.#amount;
    const older = this.#older ?? [];
    for (let at = older.length - fieldsPerEntry; at >= this.#head; at -= fieldsPerEntry) sum += older[at + 2] as number;
    this.#sum = sum;
  }
}

/** What is left of an entry; what only rounding leaves is nothing. */
function less(entry: number, amount: number): number {
  const left = entry - amount;
  return left > entry * 1e-9 ? left : 0;
}
