import { randomInt, randomUUID } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { type Clock, isWarmpathError } from '../../../kernel/index.js';
import {
  canonicalPath,
  createEmpty,
  identityOf,
  moveAside,
  mustBeWritable,
  mustNotBeForeign,
  sizeOf,
} from './database-path.js';
import { badFile, closedError, DamageError, failureOf } from './failures.js';
import type { SqliteFence } from './fence.js';
import { lockPathOf, PresenceLock } from './presence-lock.js';
import { ReadStatements } from './read-statements.js';
import { createSchema, hasSchema, isEmpty, isOurs } from './schema.js';
import { WriteStatements } from './write-statements.js';

/** A namespace as a connection knows it. */
export interface SpaceHandle {
  readonly id: number;
  /** The last one that was given out: as long as nothing is invalidated, all reads share it. */
  fence: SqliteFence;
}

/** One connection to one file. After the file is replaced there is another. */
export interface Connection {
  readonly db: DatabaseSync;
  readonly identity: bigint;
  readonly epoch: string;
  readonly read: ReadStatements;
  readonly write: WriteStatements;
  readonly spaces: Map<string, SpaceHandle>;
  /** The rows that were read since the last write: reads do not write, so whoever writes next says that they were used. */
  readonly touched: Set<number>;
}

/** How often a file that is not there yet is looked for. */
const retryMs = 20;
/** A disk that damages one file after the other is not to be filled with them. */
const betweenReplacementsMs = 60_000;

/**
 * The file as this process has it: opened, created where there is none, set aside where it is damaged. Between two files
 * there may be none, while other processes still have the old one open; see `PresenceLock`.
 */
export class DatabaseFile {
  readonly path: string;
  /** Whose invalidations are whose, in one file: no other store has this number. */
  readonly origin: number = randomInt(1, 2 ** 47);
  readonly #clock: Clock;
  readonly #presence: PresenceLock;
  #connection: Connection | undefined;
  #isClosed = false;
  #retryAt = Number.NEGATIVE_INFINITY;
  #replaceableAt = Number.NEGATIVE_INFINITY;
  #refusal: unknown;
  #replaced = 0;

  /** @throws WarmpathError `WP_BAD_OPTION` when the file cannot be used, for a reason that does not pass by itself */
  constructor(file: string, clock: Clock) {
    this.path = canonicalPath(file);
    this.#clock = clock;
    if (identityOf(this.path) !== undefined) {
      mustBeWritable(this.path);
      mustNotBeForeign(this.path, lockPathOf(this.path));
    }
    this.#presence = new PresenceLock(this.path);
    try {
      this.#open(firstWaitMs);
    } catch (error) {
      this.#presence.close();
      throw error;
    }
  }

  /** How many damaged files this process has set aside. */
  get replaced(): number {
    return this.#replaced;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** The connection as it is; undefined between two files. */
  get connection(): Connection | undefined {
    return this.#connection;
  }

  /** The size of the write-ahead log. */
  logBytes(): number {
    return sizeOf(`${this.path}-wal`);
  }

  /** What all of it takes up on the disk. */
  diskBytes(): number {
    return sizeOf(this.path) + this.logBytes();
  }

  /**
   * The connection, or undefined between two files.
   * @throws WarmpathError `WP_CLOSED`; or `WP_BAD_OPTION` when the file cannot be used any more
   */
  connect(): Connection | undefined {
    if (this.#connection) return this.#connection;
    if (this.#isClosed) throw closedError();
    const now = this.#clock.now();
    if (now >= this.#retryAt) {
      this.#retryAt = now + retryMs;
      this.#refusal = undefined;
      try {
        this.#open(0);
      } catch (error) {
        this.#refusal = error;
      }
    }
    if (this.#refusal) throw this.#refusal;
    return this.#connection;
  }

  /** Lets go of the file when it is not the one that its path leads to any more. */
  verify(): void {
    if (!this.#connection || this.#connection.identity === identityOf(this.path)) return;
    this.#disconnect();
    this.#presence.release();
    this.#retryAt = Number.NEGATIVE_INFINITY;
  }

  /** Sets the file aside, unless somebody has done so already, and begins a new one as soon as nobody uses the old one. */
  replace(reason: unknown): void {
    if (!this.#connection) return;
    const { identity } = this.#connection;
    this.#disconnect();
    try {
      this.#setAside(identity, reason);
    } catch (error) {
      this.#refusal = error; // whoever calls next hears of it
    } finally {
      this.#presence.release();
    }
  }

  /** Idempotent. Moves what the write-ahead log holds into the database. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#disconnect();
    this.#presence.close();
  }

  /**
   * The presence lock must be held: as long as it is, nobody can have put a new file under the path.
   * @throws WarmpathError `WP_BAD_OPTION` when it cannot be set aside, or the one before was so a moment ago
   */
  #setAside(identity: bigint, reason: unknown): void {
    this.#retryAt = Number.NEGATIVE_INFINITY;
    this.#refusal = undefined;
    if (identityOf(this.path) !== identity) return;
    const why = reason instanceof Error ? reason.message : String(reason);
    const now = this.#clock.now();
    if (now < this.#replaceableAt) {
      this.#retryAt = this.#replaceableAt;
      throw badFile(
        `'${this.path}' is damaged again (${why})`,
        'check the disk; it is tried again in a minute',
        reason,
      );
    }
    const aside = moveAside(this.path);
    if (aside === undefined) return;
    this.#replaceableAt = now + betweenReplacementsMs;
    this.#replaced++;
    process.emitWarning(
      `The SQLite store '${this.path}' is damaged (${why}). It was set aside as '${aside}', and begins anew.`,
      { code: 'WARMPATH_SQLITE' },
    );
  }

  #disconnect(): void {
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.db.close();
  }

  /** Leaves `#connection` undefined when somebody is in the way who will be gone soon. */
  #open(waitMs: number): void {
    for (let attempt = 0; attempt < mostAttempts && !this.#connection; attempt++) {
      if (!this.#presence.share(waitMs)) return;
      try {
        this.#connection = this.#attempt(waitMs);
      } finally {
        if (!this.#connection) this.#presence.release();
      }
      if (this.#connection) return;
      // Either it is missing, or somebody is busy with it.
      if (identityOf(this.path) !== undefined) continue;
      if (!this.#presence.exclusively(waitMs, () => createEmpty(this.path))) return;
    }
  }

  #attempt(waitMs: number): Connection | undefined {
    const identity = identityOf(this.path);
    if (identity === undefined) return undefined;
    mustBeWritable(this.path);
    const db = new DatabaseSync(this.path);
    try {
      const connection = { ...prepareDatabase(db, waitMs), identity, spaces: new Map(), touched: new Set<number>() };
      if (identityOf(this.path) === identity) return connection;
      db.close();
    } catch (error) {
      db.close();
      const failure = failureOf(error);
      if (failure === 'corrupt') this.#setAside(identity, error);
      else if (failure === 'other') throw isWarmpathError(error) ? error : cannotOpen(this.path, error);
    }
    return undefined;
  }
}

function cannotOpen(path: string, error: unknown): Error {
  const why = error instanceof Error ? error.message : String(error);
  return badFile(`'${path}' cannot be opened (${why})`, 'check the disk and the space on it', error);
}

const firstWaitMs = 250;
const mostAttempts = 4;

function prepareDatabase(db: DatabaseSync, waitMs: number): Pick<Connection, 'db' | 'epoch' | 'read' | 'write'> {
  db.exec(`pragma busy_timeout = ${waitMs}`);
  if (!isOurs(db))
    throw badFile(`'${db.location()}' belongs to another program`, 'name a file of its own for the cache');
  // Before the first table, or it has no effect.
  if (isEmpty(db)) db.exec('pragma auto_vacuum = incremental');
  const { journal_mode: mode } = db.prepare('pragma journal_mode = wal').get() ?? {};
  if (mode !== 'wal') {
    throw badFile(`'${db.location()}' is where SQLite cannot keep a write-ahead log`, 'put it on a local disk');
  }
  if (!hasSchema(db)) createSchema(db, randomUUID());
  // Whoever waits for a lock waits in turns of the event loop, never inside of SQLite.
  db.exec(`pragma synchronous = normal; pragma journal_size_limit = ${walBytes}; pragma busy_timeout = 0`);
  const { epoch } = db.prepare('select epoch from cache1_file').get() ?? {};
  if (typeof epoch !== 'string') throw new DamageError('it has no epoch');
  return { db, epoch, read: new ReadStatements(db), write: new WriteStatements(db) };
}

/** What is left of the write-ahead log after a checkpoint. */
const walBytes = 8 * 1024 * 1024;
