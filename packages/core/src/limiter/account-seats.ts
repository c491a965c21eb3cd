import type { Account } from './account.js';

/** The place of an account in the order of use. */
export interface Seat {
  readonly key: string;
  readonly account: Account;
  /** The list in which it is. */
  list: SeatList;
  older: Seat | undefined;
  newer: Seat | undefined;
}

/** Accounts by when they were used, a doubly linked list through their seats. Everything is O(1) and allocates nothing. */
export class SeatList {
  oldest: Seat | undefined;
  newest: Seat | undefined;
  size = 0;

  /** Adds one that is in no list, as the newest. */
  add(seat: Seat): void {
    seat.list = this;
    seat.older = this.newest;
    seat.newer = undefined;
    if (this.newest === undefined) this.oldest = seat;
    else this.newest.newer = seat;
    this.newest = seat;
    this.size++;
  }

  /** Takes out one of its own. */
  remove(seat: Seat): void {
    const { older, newer } = seat;
    if (older === undefined) this.oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.newest = older;
    else newer.older = older;
    this.size--;
  }
}
