import { AsyncLocalStorage } from 'node:async_hooks';
import { abortReason, type Clock, deadlineError, untilAborted, WarmpathError } from '../../kernel/index.js';
import { copyOf, type Isolation, keep } from '../isolation/isolation.js';

/** How long a reader may leave its stream alone before it counts as gone, and the source with it if it was the last. */
const longestIdleMs = 5 * 60_000;

/** The longest stream that is shared, in chunks; past it the stream fails for its readers rather than fill the memory. */
const mostChunks = 100_000;

/** What the log has of one chunk, and whether readers may have that very object. */
interface Chunk<C> {
  readonly value: C;
  readonly isShareable: boolean;
}

/** Why a stream is not kept: its key was invalidated meanwhile, or the last reader left. */
export type Voided = 'invalidated' | 'abandoned';

export interface StreamOwner<C> {
  /** The source ended by itself: here are all its chunks. */
  onEnd(chunks: readonly C[]): void;
  onFail(error: unknown): void;
  /** The last reader left before the end. */
  onAbandoned(): void;
  /** The source is closed before its end: its signal has to say so. */
  abort(reason: unknown): void;
}

/**
 * One source that any number of readers follow: each gets every chunk from the first on, in order. The source is pulled
 * when a reader wants a chunk that is not in the log yet, so the fastest reader sets the pace and a slow one lags inside
 * the log. A source that fails, fails for every reader, now and later.
 */
export class SharedStream<C> {
  /** Why it is not kept: its key was invalidated meanwhile, or the last reader left. Readers get the whole of it. */
  voided: Voided | undefined;
  readonly #log: Chunk<C>[] = [];
  readonly #source: AsyncIterator<C>;
  readonly #owner: StreamOwner<C>;
  readonly #clock: Clock;
  readonly #isolation: Isolation;
  // A generator runs in the context of whoever asks for its next chunk; this one stays in the context it was begun in.
  readonly #inContext = AsyncLocalStorage.snapshot();
  #state: 'open' | 'ended' | 'failed' = 'open';
  #error: unknown;
  #pull: Promise<void> | undefined;
  #readers = 0;

  constructor(
    source: AsyncIterable<C>,
    owner: StreamOwner<C>,
    { clock, isolation }: { readonly clock: Clock; readonly isolation: Isolation },
  ) {
    this.#source = source[Symbol.asyncIterator]();
    this.#owner = owner;
    this.#clock = clock;
    this.#isolation = isolation;
  }

  /**
   * One reader from the first chunk on. It counts as present until it ends, is returned, its signal is aborted, or it has
   * not asked for a chunk for five minutes.
   * @param onLeave it is no longer present: called once
   */
  read(signal: AbortSignal | undefined, onLeave?: () => void): AsyncIterableIterator<C> {
    let position = 0;
    let present = true;
    let idle: Error | undefined;
    let isWaiting = false;
    let askedAt = this.#clock.now();
    this.#readers++;
    const leave = (reason: unknown): void => {
      if (!present) return;
      present = false;
      idleTimer.cancel();
      signal?.removeEventListener('abort', onAbort);
      onLeave?.();
      this.#leave(reason);
    };
    const onAbort = (): void => leave(signal?.reason);
    // One timer looks again rather than one for each chunk.
    const lookAgain = (): void => {
      const idleMs = isWaiting ? 0 : this.#clock.now() - askedAt;
      if (idleMs < longestIdleMs) {
        idleTimer = this.#clock.schedule(longestIdleMs - idleMs, lookAgain, { background: true });
        return;
      }
      idle = deadlineError('The reader of a shared stream', longestIdleMs);
      leave(idle);
    };
    let idleTimer = this.#clock.schedule(longestIdleMs, lookAgain, { background: true });
    if (signal?.aborted) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });

    return {
      next: async () => {
        if (signal?.aborted) throw abortReason(signal);
        askedAt = this.#clock.now();
        while (present) {
          const chunk = this.#log[position];
          if (chunk) {
            position++;
            return { done: false, value: chunk.isShareable ? chunk.value : copyOf(chunk.value) };
          }
          if (this.#state === 'open') {
            this.#pull ??= this.#pullOne();
            isWaiting = true;
            try {
              await untilAborted(this.#pull, signal);
            } finally {
              isWaiting = false;
              askedAt = this.#clock.now();
            }
            continue;
          }
          leave(undefined);
          if (this.#state === 'failed') throw this.#error;
        }
        if (idle) throw idle;
        return { done: true, value: undefined };
      },
      return: async () => {
        leave(new DOMException('The reader left', 'AbortError'));
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /**
   * The log has a chunk of its own, since a source may use one object over and over, and readers are isolated from each
   * other. What has no copy is handed to all of them as it is.
   */
  #chunkOf(value: C): Chunk<C> {
    const kept = keep(value, this.#isolation);
    return kept ? { value: kept.value as C, isShareable: kept.isShareable } : { value, isShareable: true };
  }

  /** Never rejects: a failure becomes the state that every reader sees. */
  async #pullOne(): Promise<void> {
    try {
      const { done, value } = await this.#inContext(() => this.#source.next());
      if (this.#state !== 'open') return;
      if (done) this.#end();
      else if (this.#log.push(this.#chunkOf(value)) > mostChunks) {
        const error = tooLong();
        this.#fail(error);
        this.#stopSource(error);
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#pull = undefined;
    }
  }

  #end(): void {
    this.#state = 'ended';
    this.#owner.onEnd(this.#log.map(({ value }) => value));
  }

  #fail(error: unknown): void {
    if (this.#state !== 'open') return;
    this.#state = 'failed';
    this.#error = error;
    this.#owner.onFail(error);
  }

  #leave(reason: unknown): void {
    this.#readers--;
    if (this.#readers > 0 || this.#state !== 'open') return;
    this.#state = 'failed';
    this.#error = reason;
    this.voided ??= 'abandoned';
    this.#owner.onAbandoned();
    this.#stopSource(reason);
  }

  #stopSource(reason: unknown): void {
    this.#owner.abort(reason);
    // Closing a source that is in the middle of a chunk may fail in its own clean-up; nobody is left to be told.
    this.#inContext(() => this.#source.return?.())?.then(undefined, () => {});
  }
}

function tooLong(): WarmpathError {
  return new WarmpathError('WP_OVERLOADED', `A shared stream is longer than ${mostChunks} chunks.`, {
    details: { mostChunks },
  });
}
