import { WarmpathError } from '../../../kernel/index.js';

/** `busy` passes by itself; `corrupt` does not, and the file is of no use any more. */
export type Failure = 'busy' | 'corrupt' | 'other';

/** By the primary result code, which is the low byte (https://www.sqlite.org/rescode.html). */
const failures: Readonly<Record<number, Failure>> = {
  5: 'busy', // SQLITE_BUSY
  6: 'busy', // SQLITE_LOCKED
  15: 'busy', // SQLITE_PROTOCOL: lost a race for the locks of the write-ahead log
  11: 'corrupt', // SQLITE_CORRUPT
  26: 'corrupt', // SQLITE_NOTADB
};

/** SQLite has nothing to complain of, and yet a row is missing that is always there. */
export class DamageError extends Error {}

export function failureOf(error: unknown): Failure {
  if (error instanceof DamageError) return 'corrupt';
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return 'other';
  // Our statements are fixed: when they stop to fit the schema, it has been damaged.
  if (error.errcode === 1 && /^no such (table|column|index)|already exists$/.test(error.message)) return 'corrupt';
  return failures[error.errcode & 0xff] ?? 'other';
}

/** A file that cannot be used, for a reason that does not pass by itself. */
export function badFile(why: string, mend: string, cause?: unknown): WarmpathError {
  return new WarmpathError('WP_BAD_OPTION', `sqliteStore(): option 'file': ${why}; ${mend}.`, {
    details: { where: 'sqliteStore()', option: 'file' },
    ...(cause === undefined ? {} : { cause }),
  });
}

export function closedError(): WarmpathError {
  return new WarmpathError('WP_CLOSED', 'The SQLite store was used after it had been closed.');
}
