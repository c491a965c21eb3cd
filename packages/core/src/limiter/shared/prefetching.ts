import type { Clock, Timer } from '../../kernel/index.js';
import type { DeskAnswer, DeskTake } from '../desk.js';
import type { Amounts, Dimension, Verdict } from '../dimensions.js';
import type { AccountCalls, Ask } from './account-calls.js';
import type { LeasedCharge } from './charges.js';
import { halves } from './own-record.js';
import { Prefetched } from './prefetched.js';
import type { SharedKey } from './shared-keys.js';

const lookEveryMs = 500;
/** What was not used at so many looks in a row goes back: after 1 s at the earliest, 1.5 s at the latest. */
const idleLooks = 2;
/** A key that was not asked for within this is not worth a prefetch: what is taken in advance would only go back. */
const hotMs = 1_000;
/** A prefetch pays where it serves so many requests like the one that asks for it. */
const fewestServed = 2;

export interface PrefetchingOptions {
  readonly dimensions: readonly Dimension[];
  /** The part of each limit that is taken in advance. */
  readonly prefetch: number;
  readonly calls: AccountCalls;
  readonly clock: Clock;
  readonly peers: () => number;
}

/**
 * Takes a part of each limit in advance, so that most decisions need no round trip. There is never more in hand, what is on its
 * way included, than `prefetch` of the limit, and no more is asked for than leaves as much to each of the peers as the store
 * has said is left; so where a quota runs out it is asked for in ever smaller pieces, and at last for each request.
 * What is in hand counts in the store from when it was taken. So any window holds at most the limit and, for each
 * process, one prefetch: what it had in hand when the window began.
 */
export class Prefetching {
  readonly #options: PrefetchingOptions;
  readonly #inHand = new Set<SharedKey>();
  readonly #fetches = new Set<Promise<boolean>>();
  readonly #zeros: Amounts;
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: PrefetchingOptions) {
    this.#options = options;
    this.#zeros = Object.freeze(options.dimensions.map(() => 0));
  }

  /** At once, out of what is in hand. @returns undefined where there is not enough */
  take(key: SharedKey, amounts: Amounts, options: DeskTake | undefined): DeskAnswer | undefined {
    const { prefetched } = key;
    if (!prefetched?.take(amounts)) return undefined;
    if (prefetched.isLow(amounts) && !prefetched.pending) this.#refill(key, amounts, options?.limits);
    const ttlMs = options?.leaseTtlMs;
    const expiresAt = ttlMs === undefined ? Number.POSITIVE_INFINITY : this.#options.clock.now() + ttlMs;
    const charge: LeasedCharge = { by: 'lease', key: key.key, expiresAt, part: prefetched.oldest };
    return { verdict: this.#verdict(key, prefetched.left), decidedBy: 'lease', charge };
  }

  /**
   * The same, waiting for what is on its way or worth asking for; those who come meanwhile share it.
   */
  async taken(key: SharedKey, amounts: Amounts, options: DeskTake): Promise<DeskAnswer | undefined> {
    return (await this.#refill(key, amounts, options.limits)) ? this.take(key, amounts, options) : undefined;
  }

  /** Back to what is in hand, as far as there is room for it; what was used beyond it comes out of that as well. */
  settle(key: SharedKey, { part }: LeasedCharge, corrections: Amounts): void {
    if (!part) return;
    const { prefetched } = key;
    const { back, owed } = halves(corrections);
    const rest = [...corrections];
    if (back && prefetched) {
      const kept = this.#fitting(prefetched, back);
      if (prefetched.putBack(part, kept))
        for (const [index, each] of kept.entries()) rest[index] = (rest[index] ?? 0) + each;
    }
    if (owed && prefetched) {
      const paid = owed.map((amount, index) => Math.min(amount, prefetched.left[index] ?? 0));
      if (prefetched.take(paid)) for (const [index, each] of paid.entries()) rest[index] = (rest[index] ?? 0) - each;
    }
    void this.#options.calls.settle(key, part.charge, rest);
  }

  /** All that is in hand for a key goes back to the store. */
  async giveBack(key: SharedKey): Promise<void> {
    this.#inHand.delete(key);
    const parts = key.prefetched?.empty() ?? [];
    const told = parts.map(({ charge, amounts }) =>
      this.#options.calls.settle(
        key,
        charge,
        amounts.map((amount) => -amount),
      ),
    );
    await Promise.all(told);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    await Promise.all([...Array.from(this.#inHand, (key) => this.giveBack(key)), ...this.#fetches]);
  }

  /**
   * Asks for more, if it is worth it.
   * @returns whether it has come; undefined where there is no point in waiting for it
   */
  #refill(key: SharedKey, amounts: Amounts, limits: Amounts | undefined): Promise<boolean> | undefined {
    const pending = key.prefetched?.pending;
    if (pending || this.#isClosed) return pending;
    const wanted = this.#wanted(key, amounts, limits);
    if (!wanted) return undefined;
    key.prefetched ??= new Prefetched(this.#options.dimensions.length);
    const coming = this.#fetch(key, key.prefetched, wanted, limits && { limits });
    key.prefetched.pending = coming;
    this.#fetches.add(coming);
    void coming.finally(() => this.#fetches.delete(coming));
    return coming;
  }

  /** As much of it as may be in hand beside what is. */
  #fitting({ left, coming }: Prefetched, amounts: Amounts): Amounts {
    const { dimensions, prefetch } = this.#options;
    return amounts.map((amount, index) => {
      const most = prefetch * (dimensions[index] as Dimension).limit;
      return Math.min(amount, Math.max(0, most - (left[index] ?? 0) - (coming[index] ?? 0)));
    });
  }

  #verdict({ own }: SharedKey, left: readonly number[]): Verdict {
    const { dimensions } = this.#options;
    const verdict = own.told?.verdict;
    const remaining: number[] = [];
    let binding = 0;
    let least = Number.POSITIVE_INFINITY;
    for (let index = 0; index < left.length; index++) {
      const all = (verdict?.remaining[index] ?? 0) + (left[index] as number);
      remaining.push(all);
      const share = all / (dimensions[index] as Dimension).limit;
      if (share < least) {
        least = share;
        binding = index;
      }
    }
    return { ok: true, binding, waitMs: 0, remaining, resetMs: verdict?.resetMs ?? this.#zeros, waitsMs: this.#zeros };
  }

  async #fetch(key: SharedKey, prefetched: Prefetched, wanted: Amounts, ask: Ask | undefined): Promise<boolean> {
    for (const [index, amount] of wanted.entries()) prefetched.coming[index] = amount;
    const answer = await this.#options.calls.take(key, wanted, ask);
    prefetched.coming.fill(0);
    prefetched.pending = undefined;
    if (!answer?.verdict.ok) return false;
    const { at, generation } = answer.verdict;
    prefetched.add({ at, generation, moment: answer.moment }, wanted);
    for (const [index, left] of prefetched.left.entries()) if (wanted[index]) prefetched.low[index] = left / 2;
    prefetched.isUsed = true;
    this.#inHand.add(key);
    if (this.#isClosed) await this.giveBack(key);
    else this.#watch();
    return true;
  }

  #wanted(key: SharedKey, amounts: Amounts, limits: Amounts | undefined): Amounts | undefined {
    const { dimensions, prefetch, clock, peers } = this.#options;
    const { told } = key.own;
    if (!told || clock.now() - told.at.now > hotMs) return undefined;
    const sharers = peers() + 1;
    const wanted = dimensions.map(() => 0);
    for (const [index, { limit }] of dimensions.entries()) {
      const [amount = 0, left = 0] = [amounts[index], key.prefetched?.left[index]];
      if (amount === 0) continue;
      const most = Math.min(prefetch * (limits?.[index] ?? limit), (told.verdict.remaining[index] ?? 0) / sharers);
      const more = Math.max(0, Math.floor(most - left));
      if (left + more < fewestServed * amount) return undefined;
      wanted[index] = more;
    }
    return wanted.some((more) => more > 0) ? wanted : undefined;
  }

  /** One timer for all keys, as long as there is anything in hand. */
  #watch(): void {
    this.#timer ??= this.#options.clock.schedule(lookEveryMs, () => this.#look(), { background: true });
  }

  #look(): void {
    this.#timer = undefined;
    for (const key of this.#inHand) {
      const { prefetched } = key;
      if (!prefetched) continue;
      prefetched.idleLooks = prefetched.isUsed ? 0 : prefetched.idleLooks + 1;
      prefetched.isUsed = false;
      if (prefetched.idleLooks >= idleLooks) void this.giveBack(key);
    }
    if (this.#inHand.size > 0) this.#watch();
  }
}
