/**
 * The places for calls under way, and those who wait for one: each has one turn, then goes to the end if it has more to do.
 * Nobody with much to do holds up others.
 */
export class Turns<T extends object> {
  readonly #waiting = new Set<T>();
  readonly #serve: (waiting: T) => boolean;
  #free: number;

  /** @param serve does one thing for what waits, taking a place if it needs one, and says whether there is more to do */
  constructor(places: number, serve: (waiting: T) => boolean) {
    this.#free = places;
    this.#serve = serve;
  }

  /** Whether there is a place that nobody waits for. */
  get isFree(): boolean {
    return this.#free > 0 && this.#waiting.size === 0;
  }

  /** To be called where a place is free. */
  take(): void {
    this.#free--;
  }

  release(): void {
    this.#free++;
    this.#go();
  }

  /** Waits for its turn, which may be now. Nothing more where it waits already. */
  join(waiting: T): void {
    this.#waiting.add(waiting);
    this.#go();
  }

  /** Nothing where it does not wait. */
  leave(waiting: T): void {
    if (this.#waiting.size > 0) this.#waiting.delete(waiting);
  }

  #go(): void {
    if (this.#waiting.size === 0) return;
    // A set is walked through in the order of joining; who joins again meanwhile is at the end, and comes in the same walk.
    for (const waiting of this.#waiting) {
      if (this.#free === 0) return;
      this.#waiting.delete(waiting);
      if (this.#serve(waiting)) this.#waiting.add(waiting);
    }
  }
}
