import type { Clock } from '../kernel/index.js';
import { Account } from './account.js';
import type { AccountVerdict } from './account-verdict.js';
import { Accounts } from './accounts.js';
import type { Charge, Desk, DeskAnswer, DeskStanding, DeskTake } from './desk.js';
import type { Amounts, Dimension, Verdict } from './dimensions.js';

export interface MemoryDeskOptions {
  readonly dimensions: readonly Dimension[];
  readonly maxKeys: number;
  readonly penalise: boolean;
  readonly clock: Clock;
}

interface MemoryCharge extends Charge {
  expiresAt: number;
  readonly account: Account;
  readonly at: number;
  readonly wall: number;
  readonly leaseId: string | undefined;
}

/** How many of the accounts that were used last a standing looks at. */
const mostSeen = 1_000;

/** All accounts in this process, for which nobody else counts. Synchronous; nothing is scheduled. */
export class MemoryDesk implements Desk<DeskAnswer> {
  readonly isShared = false;
  readonly decidesAs = 'memory';
  readonly #options: MemoryDeskOptions;
  readonly #accounts: Accounts;
  /** The calendar alone needs the time of day. */
  readonly #wall: () => number;
  readonly #hasPlaces: boolean;
  #leases = 0;

  constructor(options: MemoryDeskOptions) {
    const { dimensions, maxKeys, clock } = options;
    this.#options = options;
    this.#accounts = new Accounts({ dimensions, maxKeys });
    this.#wall = dimensions.some(({ kind }) => kind === 'calendar') ? () => clock.wall() : () => 0;
    this.#hasPlaces = dimensions.some(({ kind }) => kind === 'concurrency');
  }

  get penalises(): boolean {
    return this.#options.penalise;
  }

  /** As `take`, for whoever has nothing to settle. */
  decide(key: string, amounts: Amounts): AccountVerdict {
    const { clock, penalise } = this.#options;
    const now = clock.now();
    const wall = this.#wall();
    const account = this.#accounts.of(key, now, wall);
    return penalise ? account.take(amounts, now, wall, { penalise }) : account.take(amounts, now, wall);
  }

  takeOne(key: string, limit: number): number {
    if (typeof key !== 'string') return -1;
    const now = this.#options.clock.now();
    return this.#accounts.of(key, now, 0).takeOne(1, limit, now);
  }

  /** What it would be told, without taking anything. */
  look(key: string, amounts: Amounts, limits?: Amounts): Verdict {
    const { clock, dimensions } = this.#options;
    const account = this.#accounts.peek(key) ?? new Account(dimensions);
    return account.look(amounts, clock.now(), this.#wall(), limits);
  }

  take(key: string, amounts: Amounts, { limits, leaseTtlMs }: DeskTake): DeskAnswer {
    const { clock, penalise } = this.#options;
    const at = clock.now();
    const wall = this.#wall();
    const account = this.#accounts.of(key, at, wall);
    const expiresAt = leaseTtlMs === undefined ? Number.POSITIVE_INFINITY : at + leaseTtlMs;
    const leaseId = this.#hasPlaces && leaseTtlMs !== undefined ? `${++this.#leases}` : undefined;
    const verdict = account.take(amounts, at, wall, {
      penalise,
      ...(limits && { limits }),
      ...(leaseId !== undefined && { lease: { id: leaseId, expiresAt } }),
    });
    const charge: MemoryCharge | undefined = verdict.ok ? { key, account, at, wall, leaseId, expiresAt } : undefined;
    return { verdict, decidedBy: 'memory', charge };
  }

  settle(charge: Charge, corrections: Amounts): void {
    const { account, at, wall, leaseId } = charge as MemoryCharge;
    const now = this.#options.clock.now();
    const wallNow = this.#wall();
    if (leaseId !== undefined) account.release(leaseId);
    if (corrections.some((correction) => correction < 0)) {
      const back = corrections.map((correction) => Math.max(0, -correction));
      account.refund(back, at, wall, now, wallNow);
    }
    if (corrections.some((correction) => correction > 0)) {
      const owed = corrections.map((correction) => Math.max(0, correction));
      account.charge(owed, now, wallNow);
    }
  }

  extend(charge: Charge, ttlMs: number): void {
    const own = charge as MemoryCharge;
    const now = this.#options.clock.now();
    own.expiresAt = now + ttlMs;
    if (own.leaseId !== undefined) own.account.extend(own.leaseId, own.expiresAt, now);
  }

  standing(): DeskStanding {
    const now = this.#options.clock.now();
    const wall = this.#wall();
    let used: readonly number[] = this.#options.dimensions.map(() => 0);
    let fullest = -1;
    for (const account of this.#accounts.recent(mostSeen)) {
      const its = account.used(now, wall);
      const share = this.#options.dimensions.reduce((most, { limit }, i) => Math.max(most, (its[i] ?? 0) / limit), 0);
      if (share <= fullest) continue;
      fullest = share;
      used = its;
    }
    return { keys: this.#accounts.size, used };
  }

  async close(): Promise<void> {}
}
