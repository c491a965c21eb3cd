import type { Clock } from '../../kernel/index.js';
import type { Staleness } from '../contract.js';
import type { Entry } from '../entry.js';
import type { Tiers } from '../tiers.js';
import type { Flight, Landed } from './flight.js';

const firstPauseMs = 1_000;
const longestPauseMs = 60_000;

/** How long a stale value stands in before its computation is tried again, after so many failures in a row. */
export function pauseAfter(failures: number): number {
  return Math.min(firstPauseMs * 2 ** (failures - 1), longestPauseMs);
}

/** Kept values that answer in the place of a computation which is slow or has failed. */
export class StandIns {
  readonly #clock: Clock;
  readonly #tiers: Tiers;
  /** How often in a row the computation of what stands in has failed, and when it is worth another try. */
  readonly #pauses = new WeakMap<Entry, { readonly failures: number; readonly until: number }>();

  constructor(clock: Clock, tiers: Tiers) {
    this.#clock = clock;
    this.#tiers = tiers;
  }

  /** What stands in for a flight, if it is still right and within its time. */
  of({ previous, place, began, isVoid }: Flight, stale: Staleness): Landed | undefined {
    if (!previous || this.#clock.now() >= previous.entry.keptUntil) return undefined;
    const { entry } = previous;
    // What was expired meanwhile is still there to stand in.
    const isRight =
      this.#tiers.kept(place) === entry || (!isVoid && this.#tiers.isUntouched(place, entry.tags ?? [], began));
    return isRight ? { ...previous, stale } : undefined;
  }

  /** The computation of an entry has failed: its next try waits longer than this one did. */
  pause(entry: Entry): void {
    const failures = (this.#pauses.get(entry)?.failures ?? 0) + 1;
    this.#pauses.set(entry, { failures, until: this.#clock.now() + pauseAfter(failures) });
  }

  isPaused(entry: Entry): boolean {
    const pause = this.#pauses.get(entry);
    return pause !== undefined && this.#clock.now() < pause.until;
  }
}
