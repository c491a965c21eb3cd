import type { DeskAnswer } from '../desk.js';
import type { Amounts } from '../dimensions.js';
import type { AccountCalls } from './account-calls.js';
import type { LocalCharge } from './charges.js';
import { halves } from './own-record.js';
import type { SharedKey } from './shared-keys.js';

export interface LocalTake {
  readonly limits: Amounts | undefined;
  readonly lease: { readonly id: string; readonly expiresAt: number } | undefined;
  /** Infinity without a lease. */
  readonly expiresAt: number;
}

export interface LocalDecisionsOptions {
  readonly penalise: boolean;
  readonly calls: AccountCalls;
  readonly peers: () => number;
  /** A debt that has to be told has come up. */
  readonly onOwing: (key: SharedKey) => void;
}

/** What is decided without the store: within the share of this process, and owed to the store from then on. */
export class LocalDecisions {
  readonly #options: LocalDecisionsOptions;

  constructor(options: LocalDecisionsOptions) {
    this.#options = options;
  }

  take(key: SharedKey, amounts: Amounts, { limits, lease, expiresAt }: LocalTake): DeskAnswer {
    const { penalise, calls } = this.#options;
    const moment = calls.moment();
    const peers = this.#options.peers();
    const verdict = key.share.take({ amounts, limits, peers, lease, penalise }, key.own, moment);
    if (!verdict.ok && !penalise) return { verdict, decidedBy: 'local', charge: undefined };
    const batch = key.debt.add(amounts, moment);
    this.#options.onOwing(key);
    const charge: LocalCharge = { by: 'local', key: key.key, expiresAt, leaseId: lease?.id, moment, batch, peers };
    return { verdict, decidedBy: 'local', charge: verdict.ok ? charge : undefined };
  }

  settle(key: SharedKey, charge: LocalCharge, corrections: Amounts): void {
    const { batch, moment: charged, peers, leaseId } = charge;
    const { calls, onOwing } = this.#options;
    const moment = calls.moment();
    if (leaseId !== undefined) key.share.release(leaseId);
    key.share.correct(corrections, peers, charged, moment);
    if (batch.told) void calls.settle(key, batch.told, corrections);
    else if (batch.isOpen) batch.correct(corrections, charged, moment);
    else {
      const { owed } = halves(corrections); // it is on its way: what comes back of it is forgone
      if (owed) key.debt.add(owed, moment);
    }
    onOwing(key);
  }
}
