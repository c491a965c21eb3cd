import type { Clock, Random } from '../../kernel/index.js';
import type { Charge, Desk, DeskAnswer, DeskStanding, DeskTake } from '../desk.js';
import type { Amounts, Dimension, Verdict } from '../dimensions.js';
import type { LimiterStore } from '../store.js';
import { AccountCalls, type StoreAnswer } from './account-calls.js';
import { type StoredCharge, sharedCharge } from './charges.js';
import { DebtTeller } from './debt-teller.js';
import type { SharedEvent } from './events.js';
import { LocalDecisions } from './local-decisions.js';
import { OwnRecord } from './own-record.js';
import { PeerCount } from './peer-count.js';
import { Prefetching } from './prefetching.js';
import { type SharedKey, SharedKeys } from './shared-keys.js';
import { StoreCall } from './store-call.js';
import { TakeGroup } from './take-group.js';

export interface StoreDeskOptions {
  /** Of the limiter. */
  readonly name: string;
  readonly dimensions: readonly Dimension[];
  readonly store: LimiterStore;
  readonly storeTimeoutMs: number;
  readonly onStoreError: 'local' | 'allow' | 'refuse';
  /** The part of each limit that is taken in advance, from 0 to 1. None with a limit on concurrency. */
  readonly prefetch: number;
  readonly maxKeys: number;
  readonly penalise: boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly onEvent: ((event: SharedEvent) => void) | undefined;
}

/** Base 36, 10 digits: 51 bits of chance. */
const idDigits = 10;

/**
 * Accounts in a store that several processes ask. A take waits for the store no longer than its deadline, and not at all
 * while the store is left alone after failures; then `onStoreError` decides.
 *
 * Any window of a limit holds at most the limit, plus for each process one prefetch, plus what was allowed without the store
 * and was not told to it yet. Locally that is at most limit / p for each process in any window, p being the peers counted last,
 * 1 as long as none were (or one single request that is larger); see `OutageShare`. What is told counts from then on, so the window after all are back
 * is within the limit. A store that has lost an account gets it back from all processes that had taken from it, each
 * with its next request; until then what that one had taken may be spent again.
 */
export class StoreDesk implements Desk<Promise<DeskAnswer>> {
  readonly isShared = true;
  readonly decidesAs = 'store';
  readonly #options: StoreDeskOptions;
  readonly #call: StoreCall;
  readonly #calls: AccountCalls;
  readonly #keys: SharedKeys;
  readonly #peers: PeerCount;
  readonly #debts: DebtTeller;
  readonly #prefetching: Prefetching | undefined;
  readonly #locally: LocalDecisions | undefined;
  readonly #zeros: Amounts;
  readonly #hasPlaces: boolean;
  readonly #idPrefix: string;
  #leases = 0;

  constructor(options: StoreDeskOptions) {
    const { name, dimensions, store, storeTimeoutMs, prefetch, maxKeys, penalise, clock, random, onEvent } = options;
    this.#options = options;
    this.#zeros = Object.freeze(dimensions.map(() => 0));
    this.#hasPlaces = dimensions.some(({ kind }) => kind === 'concurrency');
    this.#idPrefix = Math.floor(random() * 36 ** idDigits).toString(36);
    this.#call = new StoreCall({ limiter: name, store, storeTimeoutMs, clock, onEvent });
    this.#calls = new AccountCalls({
      ...{ limiter: name, dimensions, call: this.#call, clock },
      onOwing: (key) => this.#owe(key),
      onDebtTold: () => this.#debts.told(),
    });
    this.#debts = new DebtTeller(this.#calls, dimensions, (keys) => {
      onEvent?.({ type: 'limiter.debt-told', limiter: name, keys });
    });
    this.#peers = new PeerCount({
      ...{ call: this.#call, clock, random },
      isNeeded: () => {
        this.#debts.prune();
        return this.#debts.hasDebts;
      },
      onAlive: () => void this.#debts.tell(),
    });
    const shared = { dimensions, calls: this.#calls, peers: () => this.#peers.count };
    if (prefetch > 0 && !this.#hasPlaces) this.#prefetching = new Prefetching({ ...shared, prefetch, clock });
    if (options.onStoreError === 'local') {
      this.#locally = new LocalDecisions({ ...shared, penalise, onOwing: (key) => this.#owe(key) });
    }
    this.#keys = new SharedKeys({
      ...{ dimensions, maxKeys },
      isOwing: (key) => this.#debts.isOwing(key),
      onGone: (key) => {
        this.#debts.forget(key);
        void this.#prefetching?.giveBack(key);
      },
    });
  }

  /** As `take`, out of what was taken in advance. @returns undefined where the store has to be asked */
  takeNow(key: string, amounts: Amounts, options?: DeskTake): DeskAnswer | undefined {
    const shared = this.#prefetching && this.#keys.peek(key);
    return shared && this.#prefetching?.take(shared, amounts, options);
  }

  async take(key: string, amounts: Amounts, options: DeskTake): Promise<DeskAnswer> {
    const leased = this.takeNow(key, amounts, options);
    if (leased) return leased;
    const { clock, storeTimeoutMs, penalise } = this.#options;
    const begunAt = clock.now();
    const shared = this.#keys.of(key);
    this.#peers.touch(begunAt);
    if (this.#prefetching) {
      const fetched = await this.#prefetching.taken(shared, amounts, options);
      if (fetched) return fetched;
    }
    const { limits, leaseTtlMs } = options;
    const sent = this.#calls.moment();
    const expiresAt = leaseTtlMs === undefined ? Number.POSITIVE_INFINITY : sent.now + leaseTtlMs;
    const id = this.#hasPlaces && leaseTtlMs !== undefined ? `${this.#idPrefix}-${++this.#leases}` : undefined;
    const isAlone = id !== undefined || limits !== undefined || !this.#options.store.takesMore;
    const answer = await (isAlone
      ? this.#calls.take(shared, amounts, {
          sent,
          limits,
          penalise,
          timeoutMs: begunAt + storeTimeoutMs - sent.now,
          ...(id !== undefined && leaseTtlMs !== undefined && { lease: { id, ttlMs: leaseTtlMs } }),
        })
      : this.#together(shared, amounts, begunAt + storeTimeoutMs - sent.now));
    if (answer) return this.#stored(shared, answer, id, expiresAt);
    const lease = id === undefined ? undefined : { id, expiresAt };
    return this.#locally?.take(shared, amounts, { limits, lease, expiresAt }) ?? this.#unavailable();
  }

  #together(shared: SharedKey, amounts: Amounts, timeoutMs: number): Promise<StoreAnswer | undefined> {
    let group = shared.group;
    if (group === undefined || group.isFull) {
      const begun = new TakeGroup();
      group = begun;
      shared.group = begun;
      queueMicrotask(() => {
        if (shared.group === begun) shared.group = undefined;
        void begun.ask(this.#calls, shared, timeoutMs, this.#options.penalise);
      });
    }
    return group.join(amounts);
  }

  settle(charge: Charge, corrections: Amounts): void {
    const own = sharedCharge(charge);
    if (!own) return;
    const shared = this.#keys.of(own.key);
    this.#peers.touch(this.#options.clock.now());
    if (own.by === 'lease') this.#prefetching?.settle(shared, own, corrections);
    else if (own.by === 'local') this.#locally?.settle(shared, own, corrections);
    else {
      if (own.leaseId !== undefined) shared.share.release(own.leaseId);
      void this.#calls.settle(shared, own, corrections, own.leaseId);
    }
  }

  extend(charge: Charge, ttlMs: number): void {
    const own = sharedCharge(charge);
    if (!own) return;
    const now = this.#options.clock.now();
    own.expiresAt = now + ttlMs;
    if (own.by === 'lease' || own.leaseId === undefined) return;
    const shared = this.#keys.of(own.key);
    shared.share.extend(own.leaseId, own.expiresAt, now);
    if (own.by === 'store') this.#calls.extend(shared, own.leaseId, ttlMs);
  }

  look(key: string, amounts: Amounts): Verdict {
    const shared = this.#keys.peek(key);
    const own = shared?.own ?? new OwnRecord(this.#options.dimensions);
    return own.look(amounts, shared?.prefetched?.left, this.#options.clock.now());
  }

  standing(): DeskStanding {
    const { dimensions, clock, store } = this.#options;
    const now = clock.now();
    let used = this.#zeros;
    let fullest = -1;
    for (const { own } of this.#keys.recent()) {
      const its = own.used(now);
      if (!its) continue;
      const share = dimensions.reduce((most, { limit }, index) => Math.max(most, (its[index] ?? 0) / limit), 0);
      if (share <= fullest) continue;
      fullest = share;
      used = its;
    }
    const { count: peers } = this.#peers;
    return { keys: this.#keys.size, used, store: { name: store.name, state: this.#call.state, peers } };
  }

  /** Gives back what was taken in advance and tells what is owed, as far as the store takes it within its deadline. */
  async close(): Promise<void> {
    this.#peers.close();
    await Promise.all([this.#prefetching?.close(), this.#debts.tell()]);
    this.#call.close();
  }

  #stored(
    shared: SharedKey,
    { verdict, moment }: StoreAnswer,
    leaseId: string | undefined,
    expiresAt: number,
  ): DeskAnswer {
    if (!verdict.ok) return { verdict, decidedBy: 'store', charge: undefined };
    if (leaseId !== undefined) shared.share.hold(leaseId, expiresAt, moment);
    const { at, generation } = verdict;
    const charge: StoredCharge = { by: 'store', key: shared.key, expiresAt, at, generation, moment, leaseId };
    return { verdict, decidedBy: 'store', charge };
  }

  /** Nothing is said to be left: nobody knows. */
  #unavailable(): DeskAnswer {
    const ok = this.#options.onStoreError === 'allow';
    const waitMs = ok ? 0 : this.#call.retryInMs();
    const zeros = this.#zeros;
    const verdict = { ok, binding: 0, waitMs, remaining: zeros, resetMs: zeros, waitsMs: zeros.map(() => waitMs) };
    return { verdict, decidedBy: 'none', charge: undefined, isUnavailable: true };
  }

  #owe(shared: SharedKey): void {
    this.#debts.add(shared);
    this.#peers.touch(this.#options.clock.now());
  }
}
