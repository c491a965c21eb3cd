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

/**
 * The share of one process in one account while the store is away. Whatever is taken here counts as many times as there are peers,
 * since each of them may be taking the same; so the meters, limits, bursts and waits are those of the whole account.
 * It begins with what was used when the store was heard last, and what was taken here goes on to count when the store is
 * back, so that a store that comes and goes gives no fresh share each time.
 *
 * With p peers counted, one process takes at most limit / p in any window, or one single request that is larger than that, after
 * which it rests for as long as p times the request is worth. q processes together: limit * q / p, less what
 * was known to be used; beside what others took between the last answer and the outage.
 * Concurrency: max(1, floor(limit / p)) places for each process, those that the store has given included.
 */
export class OutageShare {
  readonly #dimensions: readonly Dimension[];
  readonly #account: Account;
  /** By dimension: until when a request that was larger than the share keeps others out. */
  readonly #restsUntil: number[];
  /** When the answer came that is counted already. */
  #seededAt = Number.NEGATIVE_INFINITY;
  #touchedAt = Number.NEGATIVE_INFINITY;

  constructor(dimensions: readonly Dimension[]) {
    this.#dimensions = dimensions;
    this.#account = new Account(dimensions);
    this.#restsUntil = dimensions.map(() => 0);
  }

  take(request: ShareTake, own: OwnRecord, { now, wall }: Moment): Verdict {
    const { peers, lease, penalise } = request;
    this.#seed(own, { now, wall });
    this.#touchedAt = now;
    const amounts = this.#scaled(request.amounts, peers);
    const limits = this.#limits(request);
    const rests = this.#restsUntil.map((until, index) => ((amounts[index] ?? 0) > 0 ? Math.max(0, until - now) : 0));
    if (rests.some((rest) => rest > 0)) {
      return this.#perPeer(refused(this.#account.look(amounts, now, wall, limits), rests), peers);
    }
    const verdict = this.#account.take(amounts, now, wall, { limits, penalise, ...(lease && { lease }) });
    if (verdict.ok) this.#rest(amounts, limits, now);
    return this.#perPeer(verdict, peers);
  }

  /** @param peers those that were counted when it was charged */
  correct(corrections: Amounts, peers: number, charged: Moment, moment: Moment): void {
    this.#touchedAt = moment.now;
    const { back, owed } = halves(this.#scaled(corrections, peers));
    if (owed) this.#account.charge(owed, moment.now, moment.wall);
    if (!back) return;
    this.#account.refund(back, charged.now, charged.wall, moment.now, moment.wall);
    for (const [index, dimension] of this.#dimensions.entries()) {
      if (dimension.kind !== 'window') continue;
      const until = this.#restsUntil[index] ?? 0;
      this.#restsUntil[index] = until - (dimension.windowMs * (back[index] ?? 0)) / dimension.limit;
    }
  }

  /** A place that the store has given. */
  hold(id: string, expiresAt: number, { now, wall }: Moment): void {
    this.#touchedAt = now;
    const amounts = this.#dimensions.map(({ kind }) => (kind === 'concurrency' ? 1 : 0));
    const limits = this.#dimensions.map(() => Number.POSITIVE_INFINITY);
    this.#account.take(amounts, now, wall, { limits, lease: { id, expiresAt } });
  }

  extend(id: string, expiresAt: number, now: number): void {
    this.#account.extend(id, expiresAt, now);
  }

  release(id: string): void {
    this.#account.release(id);
  }

  /** What the store has said counts from when it was heard, as far as nothing here stands for it already. */
  #seed(own: OwnRecord, moment: Moment): void {
    const known = own.known();
    if (!known || known.at.now <= this.#seededAt) return;
    this.#seededAt = known.at.now;
    const { now, wall } = known.at.now >= this.#touchedAt ? known.at : moment;
    const counted = this.#account.used(now, wall);
    const missing = known.used.map((used, index) => Math.max(0, used - (counted[index] ?? 0)));
    this.#account.charge(missing, now, wall);
  }

  #rest(amounts: Amounts, limits: Amounts, now: number): void {
    for (const [index, dimension] of this.#dimensions.entries()) {
      const [amount = 0, limit = 0] = [amounts[index], limits[index]];
      if (dimension.kind !== 'window' || amount <= limit) continue;
      this.#restsUntil[index] = now + (dimension.windowMs * amount) / limit;
    }
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

  #perPeer(verdict: Verdict, peers: number): Verdict {
    const remaining = verdict.remaining.map((left, index) =>
      this.#dimensions[index]?.kind === 'concurrency' ? left : left / peers,
    );
    const { ok, binding, waitMs, resetMs, waitsMs } = verdict;
    return { ok, binding, waitMs, remaining, resetMs, waitsMs };
  }
}

/** The same verdict, with rests that are waited for as well. */
function refused({ remaining, resetMs, waitsMs: waits }: Verdict, rests: Amounts): Verdict {
  const waitsMs = waits.map((waitMs, index) => Math.max(waitMs, rests[index] ?? 0));
  const waitMs = Math.max(...waitsMs);
  return { ok: false, binding: waitsMs.indexOf(waitMs), waitMs, remaining, resetMs, waitsMs };
}
