import { Account } from './account.js';
import { type Seat, SeatList } from './account-seats.js';
import type { Dimension } from './dimensions.js';

export interface AccountsOptions {
  readonly dimensions: readonly Dimension[];
  /** At least 1. */
  readonly maxKeys: number;
}

/** How many accounts a newcomer's place may cost a look at. */
const looksForIdle = 8;
const looksAtHeld = 2;
/** Where all others hold places, as far as is known. */
const looksAtLast = 64;

/**
 * An account for each key, at most `maxKeys`. When there is no room for another, one goes of which nothing is used, if a look at a
 * few finds one; then the one unused for longest. One with places held goes only where a look at 64 finds that all have such. An
 * account that had something used and went is a fresh quota for its key, so `maxKeys` is to be above the number of keys in use
 * within the longest window. Everything is O(1), amortised, without timers.
 */
export class Accounts {
  readonly #dimensions: readonly Dimension[];
  readonly #maxKeys: number;
  readonly #seats = new Map<string, Seat>();
  readonly #free = new SeatList();
  /** Found with places held when room was needed; those used since are in `#free` again. */
  readonly #held = new SeatList();
  /** Where the look for idle accounts in `#free` goes on; undefined: at the oldest. */
  #hand: Seat | undefined;

  constructor({ dimensions, maxKeys }: AccountsOptions) {
    this.#dimensions = dimensions;
    this.#maxKeys = maxKeys;
  }

  get size(): number {
    return this.#seats.size;
  }

  /** The account of a key, made when needed. To be asked for is to be used. @param now and `wall`: to know who is idle */
  of(key: string, now: number, wall: number): Account {
    const { newest } = this.#free;
    if (newest !== undefined && newest.key === key) return newest.account;
    let seat = this.#seats.get(key);
    if (seat === undefined) {
      if (this.#seats.size >= this.#maxKeys) this.#makeRoom(now, wall);
      seat = { key, account: new Account(this.#dimensions), list: this.#free, older: undefined, newer: undefined };
      this.#seats.set(key, seat);
      this.#free.add(seat);
    } else {
      this.#leave(seat);
      this.#free.add(seat);
    }
    return seat.account;
  }

  /** Without using it. */
  peek(key: string): Account | undefined {
    return this.#seats.get(key)?.account;
  }

  /** Those used last, the newest first. */
  *recent(most: number): Generator<Account, void> {
    let seat = this.#free.newest;
    for (let seen = 0; seat !== undefined && seen < most; seen++) {
      yield seat.account;
      seat = seat.older;
    }
  }

  /** Drops idle accounts. It looks at no more than `most`, and goes on there next time. */
  sweep(now: number, wall: number, most: number = 1_000): void {
    this.#recheckHeld(now, most);
    for (let looks = Math.min(most, this.size); looks > 0; looks--) this.#dropIfIdle(now, wall);
  }

  #makeRoom(now: number, wall: number): void {
    this.#recheckHeld(now, looksAtHeld);
    for (let looks = looksForIdle; looks > 0; looks--) if (this.#dropIfIdle(now, wall)) return;
    for (let seat = this.#free.oldest; seat !== undefined; seat = this.#free.oldest) {
      if (!seat.account.isHeld(now)) {
        this.#drop(seat);
        return;
      }
      this.#leave(seat);
      this.#held.add(seat);
    }
    this.#recheckHeld(now, looksAtLast);
    const last = this.#free.oldest ?? this.#held.oldest;
    if (last !== undefined) this.#drop(last);
  }

  /** The next one at which the hand comes. */
  #dropIfIdle(now: number, wall: number): boolean {
    const seat = this.#hand ?? this.#free.oldest;
    if (seat === undefined) return false;
    this.#hand = seat.newer;
    if (!seat.account.isIdle(now, wall)) return false;
    this.#drop(seat);
    return true;
  }

  #recheckHeld(now: number, most: number): void {
    for (let looks = Math.min(most, this.#held.size); looks > 0; looks--) {
      const seat = this.#held.oldest;
      if (seat === undefined) return;
      this.#held.remove(seat);
      (seat.account.isHeld(now) ? this.#held : this.#free).add(seat);
    }
  }

  #drop(seat: Seat): void {
    this.#leave(seat);
    this.#seats.delete(seat.key);
  }

  #leave(seat: Seat): void {
    if (seat === this.#hand) this.#hand = seat.newer;
    seat.list.remove(seat);
  }
}
