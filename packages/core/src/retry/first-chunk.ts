import {
  abortReason,
  ambientRules,
  badOption,
  type Clock,
  checkOptions,
  type Rules,
  systemClock,
} from '../kernel/index.js';
import type { AttemptCall, Work } from './policy.js';

/** How a stream ended. */
export interface StreamEnd {
  readonly chunks: number;
  /** From its first chunk to its end, in milliseconds. */
  readonly ms: number;
  /** `left`: by its reader, before its end. */
  readonly outcome: 'complete' | 'left' | 'failed';
  /** What it failed with. */
  readonly error?: unknown;
}

/** Where chunks come from, and what ends that. */
interface Source<T> {
  readonly chunks: AsyncIterator<T>;
  readonly first: IteratorResult<T>;
  readonly clock: Clock;
  /** Of the caller, to the end. */
  readonly signal: AbortSignal;
  leave(): void;
}

/**
 * A stream whose first chunk is there. Iterate it once; leaving early ends the work at once, also while a chunk is awaited. Whoever does not
 * read it to its end says so with `return()`, by leaving the loop, or with `await using`; a caller's signal ends it as well.
 */
export class BegunStream<T> implements AsyncIterableIterator<T>, AsyncDisposable {
  /** Settles when nothing more comes; never rejects. */
  readonly ended: Promise<StreamEnd>;
  readonly #source: Source<T>;
  readonly #beganAt: number;
  readonly #end: (end: StreamEnd) => void;
  readonly #onAbort = (): void => {
    this.#isCutOff = true;
    leaveUnread(this);
  };
  #first: IteratorResult<T> | undefined;
  #chunks = 0;
  #awaited = 0;
  #isOver = false;
  #isCutOff = false;

  constructor(source: Source<T>) {
    const { promise, resolve } = Promise.withResolvers<StreamEnd>();
    this.ended = promise;
    this.#end = resolve;
    this.#source = source;
    this.#first = source.first;
    this.#beganAt = source.clock.now();
    if (source.first.done) this.#finish('complete');
    else source.signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  async next(): Promise<IteratorResult<T>> {
    const first = this.#first;
    this.#first = undefined;
    if (!first && this.#isOver) return this.#nothing();
    this.#awaited++;
    try {
      const next = first ?? (await this.#source.chunks.next());
      if (this.#isOver && !first) return this.#nothing();
      if (next.done) this.#finish('complete');
      else this.#chunks++;
      return next;
    } catch (error) {
      if (this.#isOver) return this.#nothing();
      this.#finish('failed', { error });
      throw error;
    } finally {
      this.#awaited--;
    }
  }

  /** Never rejects. */
  async return(): Promise<IteratorResult<T>> {
    this.#first = undefined;
    if (!this.#isOver) {
      this.#finish('left');
      this.#source.leave();
      const closed = this.#close();
      // A generator that awaits a chunk ends after that, and not before: whoever leaves does not wait for it.
      if (this.#awaited === 0) await closed;
    }
    return { done: true, value: undefined };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #close(): Promise<void> {
    try {
      await this.#source.chunks.return?.();
    } catch {
      // It was aborted a moment ago: as with the body of a fetch, closing it fails with that, which is no news to its reader.
    }
  }

  /** After the end. What was cut off by its caller's leaving is not to look complete. */
  #nothing(): IteratorResult<T> {
    if (this.#isCutOff) throw abortReason(this.#source.signal);
    return { done: true, value: undefined };
  }

  #finish(outcome: StreamEnd['outcome'], more: Pick<StreamEnd, 'error'> = {}): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#source.signal.removeEventListener('abort', this.#onAbort);
    this.#end({ chunks: this.#chunks, ms: this.#source.clock.now() - this.#beganAt, outcome, ...more });
  }
}

/** Ends a stream that came for somebody who waits for it no more. */
export function leaveUnread(value: unknown): void {
  if (value instanceof BegunStream) void value.return();
}

const rules: Rules<{ clock?: Clock }> = { clock: ambientRules.clock };

/**
 * Makes work of what streams, done when the first chunk is there: `policy(firstChunk(({ signal }) => model.stream(question, { signal })))`.
 * So every policy that tries again, or elsewhere, does so until then, and never after: what a reader has seen is not said again in other
 * words. A timeout counts to the first chunk, a caller's signal to the end.
 * @param produce is asked once for each attempt
 */
export function firstChunk<T>(
  produce: (call: AttemptCall) => AsyncIterable<T> | PromiseLike<AsyncIterable<T>>,
  options: { readonly clock?: Clock } = {},
): Work<BegunStream<T>> {
  checkOptions('firstChunk()', options, rules);
  if (typeof produce !== 'function')
    throw badOption('firstChunk()', 'produce', 'a function that gives a stream', produce);
  const { clock = systemClock } = options;
  return async function begun({ attempt, signal: outer }: AttemptCall): Promise<BegunStream<T>> {
    const own = new AbortController();
    const signal = AbortSignal.any([outer, own.signal]);
    const leave = (): void => own.abort(new DOMException('The reader has left.', 'AbortError'));
    const chunks = (await produce({ attempt, signal }))[Symbol.asyncIterator]();
    const first = await chunks.next();
    if (outer.aborted) {
      // Nobody waits for this attempt any more.
      leave();
      await chunks.return?.();
      throw abortReason(outer);
    }
    return new BegunStream({ chunks, first, clock, signal: outer, leave });
  };
}
