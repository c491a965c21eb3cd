import { Account } from '../account.js';
import type { Amounts, Dimension, Verdict } from '../dimensions.js';
import { halves, type Moment, type OwnRecord } from './own-record.js';

export interface ShareTake {
  readonly amounts: Amounts;
  readonly limits: Amounts | undefined;
  /** How many are assumed to decide as this process does. */
  readonly peers: number;
  readonly lease: { readonly id: string; readonly expiresAt: number } | undefined;
  readonly penalise: boolean;
}

/** A request that was larger than the share. */
interface LargeRequest {
  readonly at: number;
  readonly amount: number;
  readonly limit: number;
}

/**
 * The share of one process in one account while the store is away. Whatever is taken here counts as many times as there are peers,
 * since each of them may be taking the same; so the meters, limits, bursts and waits are those of the whole account. It has
 * to fit twice: beside all that was taken here, whether the store was back meanwhile or not, so that a store that comes and
 * goes gives no fresh share each time; and beside what was used when the store was heard last.
 *
 * With p peers counted, one process takes at most limit / p in any window, or one single request that is larger than that, after
 * which it rests for as long as p times the request is worth. q processes together: limit * q / p, less what
 * was known to be used; beside what others took between the last answer and the outage, and a burst each where there are bursts.
 * Concurrency: max(1, floor(limit / p)) places for each process, those that the store has given included.
 */
export class OutageShare {
  readonly #dimensions: readonly Dimension[];
  /** All that was taken here. */
  readonly #taken: Account;
  /** What the store has said last, and what was taken here since. Undefined as long as nothing is known. */
  #known: Account | undefined;
  #knownAt = Number.NEGATIVE_INFINITY;
  readonly #large: (LargeRequest | undefined)[];

  constructor(dimensions: readonly Dimension[]) {
    this.#dimensions = dimensions;
    this.#taken = new Account(dimensions);
    this.#large = dimensions.map(() => undefined);
  }

  take(request: ShareTake, own: OwnRecord, { now, wall }: Moment): Verdict {
    const { peers, lease, penalise } = request;
    this.#hear(own);
    const amounts = this.#scaled(request.amounts, peers);
    const limits = this.#limits(request);
    const known = this.#known?.look(amounts, now, wall, limits);
    const rests = this.#rests(amounts, now);
    if (known?.ok === false || rests.some((rest) => rest > 0)) {
      const verdict = this.#taken.look(amounts, now, wall, limits);
      if (penalise) this.#charge(amounts, { now, wall }, limits);
      return this.#perPeer(refusal(verdict, known?.waitsMs, rests), known, peers);
    }
    const verdict = this.#taken.take(amounts, now, wall, { limits, penalise, ...(lease && { lease }) });
    if (verdict.ok || penalise) this.#known?.charge(amounts, now, wall, limits);
    if (verdict.ok) this.#noteLarge(amounts, limits, now);
    return this.#perPeer(verdict, this.#known?.look(amounts, now, wall, limits), peers);
  }

  /** @param peers those that were counted when it was charged */
  correct(corrections: Amounts, peers: number, charged: Moment, moment: Moment): void {
    const { back, owed } = halves(this.#scaled(corrections, peers));
    if (owed) this.#charge(owed, moment);
    if (!back) return;
    for (const account of [this.#taken, this.#known]) {
      // What the store was told of counts in what it has said: that is not known to be less.
      if (account === this.#known && charged.now < this.#knownAt) continue;
      account?.refund(back, charged.now, charged.wall, moment.now, moment.wall);
    }
    for (const [index, large] of this.#large.entries()) {
      if (large?.at !== charged.now) continue;
      const amount = large.amount - (back[index] ?? 0);
      this.#large[index] = amount > large.limit ? { ...large, amount } : undefined;
    }
  }

  /** A place that the store has given. */
  hold(id: string, expiresAt: number, { now, wall }: Moment): void {
    const nothing = this.#dimensions.map(() => 0);
    const limits = this.#dimensions.map(() => Number.POSITIVE_INFINITY);
    this.#taken.take(nothing, now, wall, { limits, lease: { id, expiresAt } });
  }

  extend(id: string, expiresAt: number, now: number): void {
    this.#taken.extend(id, expiresAt, now);
  }

  release(id: string): void {
    this.#taken.release(id);
  }

  /** What everybody had used counts from when it was heard. */
  #hear(own: OwnRecord): void {
    const known = own.known();
    if (!known || known.at.now <= this.#knownAt) return;
    this.#knownAt = known.at.now;
    this.#known = new Account(this.#dimensions);
    this.#known.charge(known.used, known.at.now, known.at.wall);
  }

  #charge(amounts: Amounts, { now, wall }: Moment, limits?: Amounts): void {
    this.#taken.charge(amounts, now, wall, limits);
    this.#known?.charge(amounts, now, wall, limits);
  }

  #noteLarge(amounts: Amounts, limits: Amounts, now: number): void {
    for (const [index, { kind }] of this.#dimensions.entries()) {
      const [amount = 0, limit = 0] = [amounts[index], limits[index]];
      if (kind === 'window' && amount > limit) this.#large[index] = { at: now, amount, limit };
    }
  }

  #rests(amounts: Amounts, now: number): Amounts {
    return this.#dimensions.map((dimension, index) => {
      const large = this.#large[index];
      if (dimension.kind !== 'window' || !large || !((amounts[index] ?? 0) > 0)) return 0;
      return Math.max(0, large.at + (dimension.windowMs * large.amount) / large.limit - now);
    });
  }

  #limits({ limits, peers }: ShareTake): Amounts {
    return this.#dimensions.map(({ kind, limit }, index) => {
      const full = limits?.[index] ?? limit;
      return kind === 'concurrency' ? Math.max(1, Math.floor(full / peers)) : full;
    });
  }

  #scaled(amounts: Amounts, peers: number): Amounts {
    return amounts.map((amount, index) => (this.#dimensions[index]?.kind === 'concurrency' ? amount : amount * peers));
  }

  #perPeer(verdict: Verdict, known: Verdict | undefined, peers: number): Verdict {
    const { ok, binding, waitMs, waitsMs } = verdict;
    const remaining = verdict.remaining.map((left, index) => {
      if (this.#dimensions[index]?.kind === 'concurrency') return left;
      return Math.min(left, known?.remaining[index] ?? left) / peers;
    });
    const resetMs = verdict.resetMs.map((reset, index) => Math.max(reset, known?.resetMs[index] ?? 0));
    return { ok, binding, waitMs, remaining, resetMs, waitsMs };
  }
}

/** The verdict of those that have to be waited for all. */
function refusal(taken: Verdict, known: Amounts | undefined, rests: Amounts): Verdict {
  const { remaining, resetMs } = taken;
  const waitsMs = taken.waitsMs.map((waitMs, index) => Math.max(waitMs, known?.[index] ?? 0, rests[index] ?? 0));
  const waitMs = Math.max(...waitsMs);
  return { ok: false, binding: waitsMs.indexOf(waitMs), waitMs, remaining, resetMs, waitsMs };
}
