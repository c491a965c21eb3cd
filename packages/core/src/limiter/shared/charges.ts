import type { Charge } from '../desk.js';
import type { DebtBatch } from './debt.js';
import type { Moment, StoreCharge } from './own-record.js';
import type { PrefetchedPart } from './prefetched.js';

/** What an answer has charged, by who gave it; where nobody counted there is none. */
export type SharedCharge = StoredCharge | LocalCharge | LeasedCharge;

interface KeptCharge extends Charge {
  expiresAt: number;
}

export interface StoredCharge extends KeptCharge, StoreCharge {
  readonly by: 'store';
  readonly leaseId: string | undefined;
}

export interface LocalCharge extends KeptCharge {
  readonly by: 'local';
  readonly leaseId: string | undefined;
  readonly moment: Moment;
  readonly batch: DebtBatch;
  /** Those that were counted then. */
  readonly peers: number;
}

export interface LeasedCharge extends KeptCharge {
  readonly by: 'lease';
  readonly part: PrefetchedPart | undefined;
}

/** @returns undefined for one that is not of this desk, or of a time when nobody counted */
export function sharedCharge(charge: Charge): SharedCharge | undefined {
  return 'by' in charge ? (charge as SharedCharge) : undefined;
}
