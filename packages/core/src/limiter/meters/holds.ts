import { waitUntil } from './tolerance.js';

/**
 * Who holds a place, each until it is released or expires: for limits on what runs at the same time. Taking and releasing are O(1);
 * a look for those that have expired goes through all of them, and happens once for each that may have.
 */
export class Holds {
  readonly #expiresAt = new Map<string, number>();
  /** No hold expires before. */
  #earliest: number = Number.POSITIVE_INFINITY;
  /** When the last one expires, unless `#isLatestStale`. */
  #latest: number = Number.NEGATIVE_INFINITY;
  /** The hold that was to expire first, or last, is gone. */
  #isEarliestStale = false;
  #isLatestStale = false;

  add(id: string, expiresAt: number): void {
    this.release(id);
    this.#expiresAt.set(id, expiresAt);
    this.#earliest = Math.min(this.#earliest, expiresAt);
    this.#latest = Math.max(this.#latest, expiresAt);
  }

  /** @returns false when it has been released, or has expired and been found so */
  release(id: string): boolean {
    const expiresAt = this.#expiresAt.get(id);
    if (expiresAt === undefined) return false;
    this.#expiresAt.delete(id);
    if (this.#expiresAt.size === 0) this.#lookThrough(0);
    else {
      this.#isEarliestStale ||= expiresAt === this.#earliest;
      this.#isLatestStale ||= expiresAt === this.#latest;
    }
    return true;
  }

  /** @returns false when it has been released or has expired */
  extend(id: string, expiresAt: number, now: number): boolean {
    if (!((this.#expiresAt.get(id) ?? now) > now)) return false;
    this.add(id, expiresAt);
    return true;
  }

  /** Those that have neither been released nor expired. */
  count(now: number): number {
    if (now >= this.#earliest) this.#lookThrough(now);
    return this.#expiresAt.size;
  }

  /** Until there is room for one more if nobody releases any; 0 when there is now. */
  waitMs(limit: number, now: number): number {
    if (!(limit > 0)) return Number.POSITIVE_INFINITY;
    const excess = this.count(now) + 1 - Math.max(1, Math.floor(limit));
    if (excess <= 0) return 0;
    if (excess === 1) {
      if (this.#isEarliestStale) this.#lookThrough(now);
      return waitUntil(this.#earliest, now);
    }
    const instants = Float64Array.from(this.#expiresAt.values()).sort();
    return waitUntil(instants[excess - 1] as number, now);
  }

  /** Until the last of them expires. */
  resetMs(now: number): number {
    if (this.count(now) === 0) return 0;
    if (this.#isLatestStale) this.#lookThrough(now);
    return waitUntil(this.#latest, now);
  }

  /** Drops what has expired, and knows again who is first and last. */
  #lookThrough(now: number): void {
    let earliest = Number.POSITIVE_INFINITY;
    let latest = Number.NEGATIVE_INFINITY;
    for (const [id, expiresAt] of this.#expiresAt) {
      if (expiresAt <= now) this.#expiresAt.delete(id);
      else {
        earliest = Math.min(earliest, expiresAt);
        latest = Math.max(latest, expiresAt);
      }
    }
    this.#earliest = earliest;
    this.#latest = latest;
    this.#isEarliestStale = false;
    this.#isLatestStale = false;
  }
}
