import { WarmpathError } from '@warmpath/core/kernel';
import { isObservable, type Observable, type Subscription } from 'rxjs';

/** What becomes of the value of a handler: exactly one of these is called, once. */
export interface HandledBy {
  /** It comes piece by piece. */
  chunks(source: AsyncIterable<unknown>): void;
  /** It is a plain value, or there is none. */
  value(values: readonly unknown[]): void;
  /** It failed with nothing read. */
  error(error: unknown): void;
}

/**
 * Tells streams from plain values. To an interceptor both are an Observable: a plain value completes in the turn in which
 * it comes, so what is still open afterwards, or says more than one thing, is a stream.
 */
export function readHandled(handled: Observable<unknown>, maxPending: number, by: HandledBy): Subscription {
  let state: 'waiting' | 'value' | 'stream' = 'waiting';
  let held: unknown;
  let queue: ChunkQueue | undefined;
  const beginQueue = (): ChunkQueue => {
    state = 'stream';
    queue = new ChunkQueue(maxPending, () => subscription.unsubscribe());
    queue.push(held);
    by.chunks(queue);
    return queue;
  };
  const subscription: Subscription = handled.subscribe({
    next(value) {
      if (queue) queue.push(value);
      else if (state === 'value') beginQueue().push(value);
      else if (isChunkSource(value)) {
        state = 'stream';
        by.chunks(value);
      } else if (state === 'waiting') {
        state = 'value';
        held = value;
        queueMicrotask(() => {
          if (state === 'value' && !subscription.closed) beginQueue();
        });
      }
    },
    error(error) {
      if (queue) queue.fail(error);
      else if (state !== 'stream') by.error(error);
    },
    complete() {
      if (queue) queue.end();
      else if (state === 'value') by.value([held]);
      else if (state === 'waiting') by.value([]);
    },
  });
  return subscription;
}

/** An AsyncIterable of chunks. Streams of bytes (Node's and the web's) have their own way to the client. */
function isChunkSource(value: unknown): value is AsyncIterable<unknown> {
  if (typeof value !== 'object' || value === null || isObservable(value)) return false;
  return Symbol.asyncIterator in value && !('pipe' in value) && !(value instanceof ReadableStream);
}

/** Keeps what an Observable pushes until it is pulled, up to a limit: an Observable cannot be slowed down. */
class ChunkQueue implements AsyncIterable<unknown>, AsyncIterator<unknown> {
  readonly #limit: number;
  readonly #stop: () => void;
  readonly #chunks: unknown[] = [];
  #over: { readonly error?: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(limit: number, stop: () => void) {
    this.#limit = limit;
    this.#stop = stop;
  }

  push(chunk: unknown): void {
    if (this.#over) return;
    this.#chunks.push(chunk);
    if (this.#chunks.length > this.#limit) {
      this.#stop();
      this.fail(tooSlow(this.#limit));
    }
    this.#wake?.();
  }

  fail(error: unknown): void {
    this.#over ??= { error };
    this.#wake?.();
  }

  end(): void {
    this.#over ??= {};
    this.#wake?.();
  }

  async next(): Promise<IteratorResult<unknown>> {
    while (this.#chunks.length === 0 && !this.#over) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#chunks.length > 0) return { done: false, value: this.#chunks.shift() };
    if (this.#over && 'error' in this.#over) throw this.#over.error;
    return { done: true, value: undefined };
  }

  async return(): Promise<IteratorResult<unknown>> {
    this.#chunks.length = 0;
    this.#stop();
    this.end();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

function tooSlow(limit: number): WarmpathError {
  return new WarmpathError('WP_OVERLOADED', `More than ${limit} chunks waited for a client that does not read them.`, {
    details: { limit },
  });
}
