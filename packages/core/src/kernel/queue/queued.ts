import type { Placed } from './indexed-heap.js';

/** The class of priority that is served last; 0 is served first. */
export const lowestPriority = 9;

/** What decides about the place of a newcomer among those who wait for the same thing. */
export interface Newcomer {
  readonly tenant: string;
  /** What it needs, by dimension: for sums of what is ahead of a newcomer. */
  readonly amounts: readonly number[];
  /** For fairness among tenants, above 0: of a share of what there is, so that one dimension compares with another. */
  readonly cost: number;
  /** The share of its tenant, above 0. */
  readonly weight: number;
  /** Monotonic milliseconds: inside its tenant the earliest due comes first. */
  readonly due: number;
  /** The class that it is in: it falls while it waits, which its priority classes see to. */
  readonly priority: number;
}

export interface Queued extends Newcomer, Placed {
  priority: number;
  /** Rises for each, so that of two that are alike the earlier comes first. */
  readonly sequence: number;
  /** When it rises by a class, monotonic milliseconds. Infinity: never. */
  riseAt: number;
}

/** The slots of what is queued, one for each heap that it is in at the same time. */
export const slots = { tenant: 0, rise: 1, deadline: 2 } as const;
