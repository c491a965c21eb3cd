import { abortReason, type Clock, deadlineError } from '../../kernel/index.js';
import { handedOut, type LoggedChunk } from './chunk.js';
import type { ChunkLog } from './chunk-log.js';
import { IdleWatch, longestIdleMs } from './idle-watch.js';
import type { Stretch } from './spilled-chunks.js';

/** How a stream has ended: by itself, or with this error. */
export type StreamOutcome = 'ended' | { readonly error: unknown };

/** What a reader reads from. */
export interface FollowedStream {
  readonly log: ChunkLog;
  /** Undefined while it goes on. */
  readonly outcome: StreamOutcome | undefined;
  /** The reader wants the chunk at the end of the log: it is woken when that is there, or when there will be none. */
  want(reader: StreamReader<unknown>): void;
  /** The reader is gone: called once. */
  onLeave(reader: StreamReader<unknown>, reason: unknown): void;
}

export interface ReaderOptions {
  readonly signal: AbortSignal | undefined;
  readonly clock: Clock;
  /** Cheap, and may be behind the clock. */
  readonly now: () => number;
  readonly onLeave: (() => void) | undefined;
}

/** An iterator that knows when the chunk that it gave last came from its source. */
export interface TimedReader<C> extends AsyncIterableIterator<C, undefined> {
  readonly atMs: number;
  return(): Promise<IteratorResult<C, undefined>>;
}

/**
 * One reader of a shared stream, from the first chunk on. It counts as present until it has come to the end, is returned or
 * fails, its signal is aborted, or it has not asked for a chunk for five minutes. A chunk that is in the log is there for
 * the asking; for the next one the reader waits without a listener or a timer of its own.
 */
export class StreamReader<C> implements TimedReader<C> {
  /** Of the next chunk that it gets. */
  position = 0;
  #atMs = 0;
  #bytes = 0;
  readonly #stream: FollowedStream;
  readonly #signal: AbortSignal | undefined;
  readonly #onGone: (() => void) | undefined;
  readonly #idle: IdleWatch;
  readonly #onAbort: () => void;
  #isPresent = true;
  /** What ended it; each call from then on sees it. */
  #failure: { readonly error: unknown } | undefined;
  /** What was asked for and is not there yet, answered in order. */
  readonly #asks: PromiseWithResolvers<IteratorResult<C, undefined>>[] = [];
  #stretch: Stretch | undefined;

  constructor(stream: FollowedStream, { signal, clock, now, onLeave }: ReaderOptions) {
    this.#stream = stream;
    this.#signal = signal;
    this.#onGone = onLeave;
    this.#idle = new IdleWatch(clock, now, () =>
      this.fail(deadlineError('The reader of a shared stream', longestIdleMs)),
    );
    this.#onAbort = () => this.fail(abortReason(signal as AbortSignal));
    signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Milliseconds from the first pull of the source to the chunk given last. */
  get atMs(): number {
    return this.#atMs;
  }

  /** What the chunk given last takes in memory, as estimated. */
  get bytes(): number {
    return this.#bytes;
  }

  next(): Promise<IteratorResult<C, undefined>> {
    if (this.#asks.length === 0) {
      this.#idle.touch();
      try {
        const step = this.#step();
        if (step) return Promise.resolve(step);
      } catch (error) {
        return Promise.reject(error);
      }
    }
    const ask = Promise.withResolvers<IteratorResult<C, undefined>>();
    this.#asks.push(ask);
    this.#idle.isBusy = true;
    if (this.#asks.length === 1) this.#stream.want(this as StreamReader<unknown>);
    return ask.promise;
  }

  return(): Promise<IteratorResult<C, undefined>> {
    this.#leave(new DOMException('The reader left', 'AbortError'));
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** What it wanted may be there. */
  wake(): void {
    for (let ask = this.#asks[0]; ask; ask = this.#asks[0]) {
      try {
        const step = this.#step();
        if (!step) {
          this.#stream.want(this as StreamReader<unknown>);
          return;
        }
        ask.resolve(step);
      } catch (error) {
        ask.reject(error);
      }
      this.#asks.shift();
    }
    this.#idle.isBusy = false;
    this.#idle.touch();
  }

  /** Ends it with an error of its own. */
  fail(error: unknown): void {
    if (!this.#isPresent) return;
    this.#failure = { error };
    this.#leave(error);
  }

  /** @returns undefined when the chunk is not there yet. @throws what has ended it or the stream */
  #step(): IteratorResult<C, undefined> | undefined {
    if (this.#failure) throw this.#failure.error;
    if (!this.#isPresent) return { done: true, value: undefined };
    const chunk = this.#stream.log.at(this.position) ?? this.#fromFile();
    if (chunk) {
      this.position++;
      this.#atMs = chunk.atMs;
      this.#bytes = chunk.bytes;
      return { done: false, value: handedOut(chunk) as C };
    }
    const { outcome } = this.#stream;
    if (outcome === undefined) return undefined;
    if (outcome !== 'ended') this.#failure = outcome;
    this.#leave(undefined);
    return this.#step();
  }

  #fromFile(): LoggedChunk | undefined {
    const index = this.position - (this.#stretch?.first ?? 0);
    const chunk = this.#stretch?.chunks[index];
    if (chunk) return chunk;
    try {
      this.#stretch = this.#stream.log.load(this.position);
    } catch (error) {
      this.fail(error);
      throw error;
    }
    return this.#stretch?.chunks[this.position - this.#stretch.first];
  }

  #leave(reason: unknown): void {
    if (!this.#isPresent) return;
    this.#isPresent = false;
    this.#stretch = undefined;
    this.#idle.cancel();
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#onGone?.();
    this.#stream.onLeave(this as StreamReader<unknown>, reason);
    this.wake();
  }
}
