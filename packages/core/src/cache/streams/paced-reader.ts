import { type Clock, linkAbort, wait } from '../../kernel/index.js';
import type { TimedReader } from './stream-reader.js';

/** A source that hung for a minute need not do so again. */
const longestPauseMs = 2_000;

export interface PaceOptions {
  readonly clock: Clock;
  readonly signals: readonly (AbortSignal | undefined)[];
  /** On the clock's monotonic scale; Infinity for none. */
  readonly deadline: number;
}

/**
 * Gives chunks no earlier than they came from their source, counted from this reader's first call; a pause of more than
 * two seconds is two seconds. It is a timetable, not a pause before each chunk: timers that ring late do not add up, and
 * a reader that has fallen behind catches up.
 */
export class PacedReader<C> implements AsyncIterableIterator<C, undefined> {
  readonly #reader: TimedReader<C>;
  readonly #options: PaceOptions;
  /** When the chunk given last was due. */
  #dueAt: number | undefined;
  #atMs = 0;
  #isOver = false;
  #turn: Promise<unknown> = Promise.resolve();
  readonly #left = new AbortController();

  constructor(reader: TimedReader<C>, options: PaceOptions) {
    this.#reader = reader;
    this.#options = options;
  }

  next(): Promise<IteratorResult<C, undefined>> {
    const step = this.#turn.then(() => this.#step());
    this.#turn = step.catch(() => {});
    return step;
  }

  return(): Promise<IteratorResult<C, undefined>> {
    this.#isOver = true;
    this.#left.abort();
    return this.#reader.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #step(): Promise<IteratorResult<C, undefined>> {
    const { clock } = this.#options;
    this.#dueAt ??= clock.now();
    const result = await this.#reader.next();
    if (result.done) return result;
    const { atMs } = this.#reader;
    this.#dueAt += Math.min(Math.max(0, atMs - this.#atMs), longestPauseMs);
    this.#atMs = atMs;
    const pauseMs = this.#dueAt - clock.now();
    if (pauseMs > 0) await this.#pause(pauseMs);
    return this.#isOver ? { done: true, value: undefined } : result;
  }

  /** @throws the reason of a signal, `WP_DEADLINE` */
  async #pause(pauseMs: number): Promise<void> {
    const { clock, signals, deadline } = this.#options;
    const timeoutMs = Math.max(0, deadline - clock.now());
    const patience = linkAbort({
      parents: [...signals, this.#left.signal],
      timeoutMs,
      clock,
      what: 'The paced stream',
    });
    try {
      await wait(clock, pauseMs, patience.signal);
    } catch (error) {
      if (!this.#isOver) throw error;
    } finally {
      patience.release();
    }
  }
}
