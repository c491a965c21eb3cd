import { untilAborted } from '../../kernel/index.js';
import type { CacheLevel, Staleness } from '../contract.js';
import type { Entry } from '../entry.js';
import type { Place } from '../place.js';
import type { Hold } from './leases.js';

/** What came of a flight. */
export interface Landed {
  readonly entry: Entry;
  readonly level: Exclude<CacheLevel, 'shared'>;
  readonly stale: false | Staleness;
}

/** A kept value for when there is no new one. */
export interface StandIn {
  readonly entry: Entry;
  readonly level: 'memory' | 'store';
}

export interface FlightOwner {
  /** It has come to its end: newcomers begin anew. */
  onOver(flight: Flight): void;
  /** Nobody needs it any more: so do they, and it may be cut short. */
  onAbandoned(flight: Flight, reason: unknown): void;
}

/**
 * One value on its way, and any number of callers who wait for it. A caller's signal detaches that caller alone; when the
 * last one has left, nobody needs it any more, unless it is under way for its own sake.
 */
export class Flight {
  readonly place: Place;
  /** The sequence of invalidations when it began: what was invalidated since then rules its outcome. */
  began: number;
  /** The tags that are known beforehand, of the call and of the previous value; the computation may name others. */
  readonly tags: readonly string[];
  /** What stands in when the computation is slow or fails. */
  previous: StandIn | undefined;
  /** Its key was deleted, expired or set meanwhile. Those who wait get the outcome still; it is not kept. */
  isVoid = false;
  /** It goes on without callers: a refresh, or one whose callers were given a stale value meanwhile. */
  isBackground: boolean;
  /** It is computed here, and nowhere else as far as the others know. */
  hold: Hold | undefined;
  /** It has taken longer than a caller with something to stand in waits. */
  isSlow = false;
  /** The last caller has left before it landed, or the cache was closed. */
  isAbandoned = false;
  #isOver = false;
  #waiting = 0;
  #landing = Promise.withResolvers<Landed>();
  readonly #owner: FlightOwner;

  constructor(place: Place, state: Pick<Flight, 'began' | 'tags' | 'previous' | 'isBackground'>, owner: FlightOwner) {
    this.place = place;
    this.began = state.began;
    this.tags = state.tags;
    this.previous = state.previous;
    this.isBackground = state.isBackground;
    this.#owner = owner;
  }

  /** Whether it has come to its end. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether nobody waits for it. */
  get isUnattended(): boolean {
    return this.#waiting === 0;
  }

  /** It has only waited so far. */
  beginAnew(sequence: number, previous: StandIn | undefined): void {
    this.began = sequence;
    this.previous = previous;
    this.isVoid = false;
  }

  async join(signal: AbortSignal | undefined): Promise<Landed> {
    this.#waiting++;
    try {
      return await untilAborted(this.#landing.promise, signal);
    } finally {
      this.#waiting--;
      if (this.#waiting === 0 && signal?.aborted) this.abandon(signal.reason);
    }
  }

  /** Nobody waits any more; a flight for its own sake, or one that is over, is not touched by that. */
  abandon(reason: unknown): void {
    if (!this.isBackground) this.giveUp(reason);
  }

  /** It is not needed any more, whatever it was for. */
  giveUp(reason: unknown): void {
    if (this.#isOver || this.isAbandoned) return;
    this.isAbandoned = true;
    this.#owner.onAbandoned(this, reason);
  }

  /** Those who wait get something else now; the flight goes on for its own sake, and for those who come later. */
  relieve(landed: Landed): void {
    this.isBackground = true;
    this.#landing.resolve(landed);
    this.#landing = Promise.withResolvers();
  }

  land(landed: Landed): void {
    if (this.#isOver) return;
    this.#end();
    this.#landing.resolve(landed);
  }

  fail(error: unknown): void {
    if (this.#isOver) return;
    this.#end();
    this.#landing.promise.catch(() => {}); // it reaches each caller through join(); there may be none
    this.#landing.reject(error);
  }

  #end(): void {
    this.#isOver = true;
    this.#owner.onOver(this);
  }
}
