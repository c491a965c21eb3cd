import type { Clock, Timer } from '../../../kernel/index.js';
import type { Connection, DatabaseFile } from './database-file.js';
import { failureOf } from './failures.js';
import type { Limits } from './transaction.js';
import type { WriteQueue } from './write-queue.js';

export interface HousekeepingOptions {
  readonly file: DatabaseFile;
  readonly clock: Clock;
  readonly limits: Limits;
  readonly queue: WriteQueue;
}

const roundMs = 1_000;
/** Between two pieces of one round: the event loop has other things to do. */
const pieceMs = 10;
const mostRemoved = 256;
const mostVacuumedPages = 256;
/** Free pages are used again; only what is well above this share of the file is given back. */
const freeShare = 1 / 4;
const fewPages = 1_024;

/**
 * What is to be done without being asked, in pieces of a few milliseconds: lets go of a file that was replaced, removes what
 * is overdue, dead or too much, says which entries were read, gives free pages back.
 */
export class Housekeeping {
  readonly #options: HousekeepingOptions;
  #timer: Timer;
  #isHurried = false;

  constructor(options: HousekeepingOptions) {
    this.#options = options;
    this.#timer = this.#schedule(roundMs);
  }

  /** There is more than a write could do along the way. */
  hurry(): void {
    if (this.#isHurried || this.#options.file.isClosed) return;
    this.#isHurried = true;
    this.#timer.cancel();
    this.#timer = this.#schedule(pieceMs);
  }

  close(): void {
    this.#timer.cancel();
  }

  #schedule(delayMs: number): Timer {
    return this.#options.clock.schedule(
      delayMs,
      () => {
        this.#isHurried = false;
        const isDone = this.#piece();
        if (!this.#isHurried) this.#timer = this.#schedule(isDone ? roundMs : pieceMs);
      },
      { background: true },
    );
  }

  /** @returns whether that was all. What fails here fails for the next caller as well, who hears of it. */
  #piece(): boolean {
    const { file } = this.#options;
    try {
      file.verify();
      const connection = file.connect();
      if (!connection) return true;
      return this.#tidy(connection) && vacuum(connection);
    } catch (error) {
      if (failureOf(error) === 'corrupt') file.replace(error);
      return true;
    }
  }

  #tidy({ read, touched }: Connection): boolean {
    const { clock, limits, queue } = this.#options;
    const wall = clock.wall();
    const [hasChores] = read.hasChores.get(wall, limits.maxBytes) ?? [];
    if (!hasChores && touched.size === 0) return true;
    const removed = queue.tryNow((transaction) => transaction.sweep(wall, mostRemoved));
    return removed === undefined || (removed === 0 && touched.size === 0);
  }
}

/** Gives pages at the end of the file back to the disk. @returns whether enough of them are */
function vacuum({ db, read }: Connection): boolean {
  const [all = 0, free = 0] = read.pages.get() ?? [];
  if (free < Math.max(fewPages, all * freeShare)) return true;
  db.exec(`pragma incremental_vacuum(${mostVacuumedPages})`);
  return false;
}
