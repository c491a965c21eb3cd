import { basename, dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { badFile, failureOf } from './failures.js';

/** Where the lock of a database is. It stays there, and says that the file was a store's. */
export function lockPathOf(file: string): string {
  return join(dirname(file), `.${basename(file)}.lock`);
}

/**
 * Who has the database open, across processes and across deaths: each holds a shared lock on an empty file beside it, and
 * nobody creates the database without the exclusive one. So a file that was set aside or deleted is followed by a new one
 * only when the last process has let go of the old one. Without that, SQLite loses data: whoever is the last to close a
 * renamed or deleted database removes the `-wal` of the new one under the same name
 * (https://www.sqlite.org/howtocorrupt.html, 2.4).
 *
 * The locks are SQLite's own, on a database without content; the operating system takes them back from the dead. The name
 * starts with a dot so that `rm cache.db*` lets it be.
 */
export class PresenceLock {
  readonly #db: DatabaseSync;

  /** @throws WarmpathError `WP_BAD_OPTION` when the file cannot be made */
  constructor(file: string) {
    const path = lockPathOf(file);
    try {
      this.#db = new DatabaseSync(path);
    } catch (error) {
      throw badFile(`'${path}' cannot be opened`, 'let this process write to the folder', error);
    }
  }

  /** Says that the database is in use, until `release`. @returns false when somebody is about to create it */
  share(waitMs: number): boolean {
    return this.#take('begin; select 1 from sqlite_master', waitMs);
  }

  /** Runs `work` while nobody has the database open. @returns false when somebody has, and `work` did not run */
  exclusively(waitMs: number, work: () => void): boolean {
    if (!this.#take('begin exclusive', waitMs)) return false;
    try {
      work();
    } finally {
      this.release();
    }
    return true;
  }

  /** Idempotent. */
  release(): void {
    if (this.#db.isTransaction) this.#db.exec('rollback');
  }

  close(): void {
    this.#db.close();
  }

  #take(sql: string, waitMs: number): boolean {
    try {
      this.#db.exec(`pragma busy_timeout = ${waitMs}; ${sql}`);
      return true;
    } catch (error) {
      this.release();
      const failure = failureOf(error);
      if (failure === 'busy') return false;
      const path = this.#db.location();
      if (failure === 'corrupt')
        throw badFile(`'${path}' is not empty`, 'remove it; it is a lock and holds nothing', error);
      throw badFile(`'${path}' cannot be locked`, 'let this process write to it and to its folder', error);
    }
  }
}
