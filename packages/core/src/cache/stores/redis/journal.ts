import type { Clock } from '../../../kernel/index.js';
import type { Invalidation } from '../../store.js';
import { Unsettled } from '../../store-guard/unsettled.js';

const keptMs = 3_600_000;

/**
 * What a server was told and confirmed, or was heard from it: another one that takes its place may not know of it. A replica
 * lacks the last writes, a restarted server is as old as its last snapshot. Kept is the last invalidation of each name, for
 * one hour at least and two at most, and of 10,000 names in each hour: beyond that a clear stands for all.
 */
export class Journal {
  readonly #clock: Clock;
  #earlier = new Unsettled();
  #recent = new Unsettled();
  #recentSince: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#recentSince = clock.now();
  }

  add(invalidation: Invalidation): void {
    this.#turnOver();
    this.#recent.add(invalidation);
  }

  /** What another server is to be told, at most 1,000 names each; from now on it counts as told just now. */
  replay(): Invalidation[] {
    this.#turnOver();
    const all = new Unsettled();
    for (const { invalidation } of [...this.#earlier.gather(), ...this.#recent.gather()]) all.add(invalidation);
    this.#earlier = new Unsettled();
    this.#recent = all;
    this.#recentSince = this.#clock.now();
    return all.gather().map(({ invalidation }) => invalidation);
  }

  #turnOver(): void {
    const hours = Math.floor((this.#clock.now() - this.#recentSince) / keptMs);
    if (hours === 0) return;
    this.#earlier = hours === 1 ? this.#recent : new Unsettled();
    this.#recent = new Unsettled();
    this.#recentSince += hours * keptMs;
  }
}
