import { abortReason, type Clock, type Timer } from '../../../kernel/index.js';
import type { Connection, DatabaseFile } from './database-file.js';
import { closedError, failureOf } from './failures.js';
import { type Limits, Transaction } from './transaction.js';

/** A piece of a transaction, and who waits for it. */
interface Job {
  readonly run: (transaction: Transaction) => unknown;
  /** How much work it is, in entries. */
  readonly weight: number;
  readonly signal: AbortSignal;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly onAbort: () => void;
}

export interface WriteQueueOptions {
  readonly file: DatabaseFile;
  readonly clock: Clock;
  readonly limits: Limits;
  /** Up to where this store's feeds of a namespace have read. */
  readonly heard: (namespace: string) => number;
  /** There is more to tidy up than a write does along the way. */
  readonly onBacklog: () => void;
}

/** What one transaction takes, so that none holds up the event loop or other processes for long; a single job may be more. */
export const mostWeight = 256;
/** What a transaction does for the file along the way, in rows. */
const mostTouched = 128;
const mostEvicted = 256;
/** While somebody else writes: first 1 ms, then doubled, up to this. */
const longestWaitMs = 16;

/**
 * All writes that are asked for in one turn of the event loop make one transaction, in their order. Nobody ever waits inside
 * of SQLite: while another process has the lock, they wait for the clock, each until its signal is aborted.
 */
export class WriteQueue {
  readonly #options: WriteQueueOptions;
  readonly #jobs = new Set<Job>();
  #isScheduled = false;
  #retry: Timer | undefined;
  #waitMs = 1;
  /** So many jobs get a transaction of their own. */
  #singly = 0;

  constructor(options: WriteQueueOptions) {
    this.#options = options;
  }

  /** Resolves once what `run` has done is committed. */
  add<T>(run: (transaction: Transaction) => T, weight: number, signal: AbortSignal): Promise<T> {
    if (this.#options.file.isClosed) return Promise.reject(closedError());
    if (signal.aborted) return Promise.reject(abortReason(signal));
    return new Promise<unknown>((resolve, reject) => {
      const job: Job = { run, weight, signal, resolve, reject, onAbort: () => this.#drop(job, abortReason(signal)) };
      this.#jobs.add(job);
      if (this.#retry) signal.addEventListener('abort', job.onAbort, { once: true });
      else this.#schedule();
    }) as Promise<T>;
  }

  /** Runs a transaction of its own now, unless somebody else writes or waits to. @returns what `run` returns, if it did */
  tryNow<T>(run: (transaction: Transaction) => T): T | undefined {
    if (this.#jobs.size > 0) return undefined;
    const connection = this.#options.file.connection;
    if (!connection) return undefined;
    try {
      return this.#transact(connection, run);
    } catch (error) {
      const failure = failureOf(error);
      if (failure === 'corrupt') this.#options.file.replace(error);
      else if (failure === 'other') throw error;
      return undefined;
    }
  }

  /** Writes what can be written at once; what cannot is refused. */
  close(): void {
    for (let before = -1; this.#jobs.size > 0 && this.#jobs.size !== before; ) {
      before = this.#jobs.size;
      this.#flush();
      this.#endRetry();
    }
    this.#endRetry();
    for (const job of this.#jobs) this.#drop(job, closedError());
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      if (this.#jobs.size > 0 && !this.#retry) this.#flush();
    });
  }

  #flush(): void {
    const batch = this.#batch();
    if (batch.length === 0) return;
    try {
      this.#options.file.verify();
      const connection = this.#options.file.connect();
      if (connection) {
        const results = this.#transact(connection, (transaction) => batch.map((job) => job.run(transaction)));
        this.#waitMs = 1;
        for (const [index, job] of batch.entries()) this.#settle(job)?.resolve(results[index]);
      } else {
        this.#waitAndRetry();
      }
    } catch (error) {
      this.#fail(batch, error);
    }
    if (this.#jobs.size > 0 && !this.#retry) this.#schedule();
  }

  #fail(batch: readonly Job[], error: unknown): void {
    const failure = failureOf(error);
    if (failure === 'busy') {
      this.#waitAndRetry();
    } else if (failure === 'corrupt') {
      this.#options.file.replace(error); // the jobs stay: the next flush finds another file, or hears why there is none
    } else if (batch.length === 1 || !this.#options.file.connection) {
      for (const job of batch) this.#drop(job, error);
    } else {
      this.#singly = batch.length; // one of them may be at fault for all
    }
  }

  #transact<T>(connection: Connection, run: (transaction: Transaction) => T): T {
    const { file, clock, limits, heard, onBacklog } = this.#options;
    const { db, write: statements, epoch, touched } = connection;
    statements.begin.run();
    try {
      const isLogFull = file.logBytes() > limits.maxLogBytes;
      const transaction = new Transaction({ statements, limits, isLogFull, epoch, origin: file.origin, heard });
      const result = run(transaction);
      transaction.touch(firstOf(touched, mostTouched));
      const hasTooMuch = transaction.evict(clock.wall(), mostEvicted);
      const hasMarks = transaction.finish();
      statements.commit.run();
      if (hasTooMuch || hasMarks) onBacklog();
      return result;
    } finally {
      if (db.isTransaction) db.exec('rollback');
    }
  }

  #waitAndRetry(): void {
    this.#endRetry();
    for (const job of this.#jobs) job.signal.addEventListener('abort', job.onAbort, { once: true });
    this.#retry = this.#options.clock.schedule(this.#waitMs, () => {
      this.#retry = undefined;
      if (this.#jobs.size > 0) this.#flush();
    });
    this.#waitMs = Math.min(this.#waitMs * 2, longestWaitMs);
  }

  #endRetry(): void {
    this.#retry?.cancel();
    this.#retry = undefined;
  }

  /** In their order, without those that nobody waits for any more. */
  #batch(): readonly Job[] {
    const batch: Job[] = [];
    let weight = 0;
    for (const job of this.#jobs) {
      if (weight >= mostWeight || (batch.length === 1 && this.#singly > 0)) break;
      if (job.signal.aborted) {
        this.#drop(job, abortReason(job.signal));
        continue;
      }
      weight += job.weight;
      batch.push(job);
    }
    return batch;
  }

  #drop(job: Job, error: unknown): void {
    this.#settle(job)?.reject(error);
  }

  #settle(job: Job): Job | undefined {
    if (!this.#jobs.delete(job)) return undefined;
    this.#singly = Math.max(0, this.#singly - 1);
    job.signal.removeEventListener('abort', job.onAbort);
    if (this.#jobs.size === 0) this.#endRetry();
    return job;
  }
}

/** Takes them out. */
function firstOf(ids: Set<number>, most: number): readonly number[] {
  const taken: number[] = [];
  for (const id of ids) {
    if (taken.length === most) break;
    ids.delete(id);
    taken.push(id);
  }
  return taken;
}
