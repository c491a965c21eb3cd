import { abortReason, ambientRules, type Clock, checkOptions, type Rules, systemClock } from '../kernel/index.js';
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
  leave(): void;
}

/** A stream whose first chunk is there. Iterate it once; leaving early ends the work at once, also while a chunk is awaited. */
export class BegunStream<T> implements AsyncIterableIterator<T> {
  /** Settles when nothing more comes; never rejects. One that is never read ends when its reader is told to `return`. */
  readonly ended: Promise<StreamEnd>;
  readonly #source: Source<T>;
  readonly #beganAt: number;
  readonly #end: (end: StreamEnd) => void;
  #first: IteratorResult<T> | undefined;
  #chunks = 0;
  #isOver = false;

  constructor(source: Source<T>) {
    const { promise, resolve } = Promise.withResolvers<StreamEnd>();
    this.ended = promise;
    this.#end = resolve;
    this.#source = source;
    this.#first = source.first;
    this.#beganAt = source.clock.now();
    if (source.first.done) this.#finish('complete');
  }

  async next(): Promise<IteratorResult<T>> {
    const first = this.#first;
    this.#first = undefined;
    if (!first && this.#isOver) return { done: true, value: undefined };
    try {
      const next = first ?? (await this.#source.chunks.next());
      if (next.done) this.#finish('complete');
      else this.#chunks++;
      return next;
    } catch (error) {
      this.#finish('failed', { error });
      throw error;
    }
  }

  async return(): Promise<IteratorResult<T>> {
    this.#first = undefined;
    if (!this.#isOver) {
      this.#finish('left');
      this.#source.leave();
      await this.#source.chunks.return?.();
    }
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #finish(outcome: StreamEnd['outcome'], more: Pick<StreamEnd, 'error'> = {}): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#end({ chunks: this.#chunks, ms: this.#source.clock.now() - this.#beganAt, outcome, ...more });
  }
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
    return new BegunStream({ chunks, first, clock, leave });
  };
}
