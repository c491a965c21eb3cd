import { isWarmpathError, WarmpathError } from '../../kernel/index.js';
import { attemptOf } from '../attempt.js';
import { BegunStream, type StreamEnd } from '../first-chunk.js';
import { type AttemptCall, notWork, type PolicyCall, type Work } from '../policy.js';
import { Asker } from '../scope.js';
import type { BulkheadOptions, BulkheadPolicy, BulkheadStats } from './contract.js';
import type { BulkheadEvent } from './events.js';
import { AdaptiveLimit, type ConcurrencyLimit, FixedLimit } from './limit.js';
import { type BulkheadTerms, termsOf } from './options.js';
import { WaitingLine } from './waiting-line.js';

/**
 * Lets only so many calls run at once, so that one slow backend cannot take up everything; the others wait for their turn, or are
 * refused at once. A place is held until the work ends, of a stream begun by `firstChunk` until the stream ends. Tenants that
 * wait are served in turn.
 * @throws WarmpathError `WP_BAD_OPTION`; a call rejects with `WP_OVERLOADED`, with its caller's reason, or as the work does
 */
export function bulkhead(options: BulkheadOptions = {}): BulkheadPolicy {
  const terms = termsOf(options);
  const places = new Places(terms);
  const limited = <T>(work: Work<T>, call?: PolicyCall): Promise<T> => places.run(work, call);
  const methods = { stats: () => places.stats };
  return Object.defineProperty(Object.assign(limited, methods), 'name', { value: terms.name });
}

class Places {
  readonly #terms: BulkheadTerms;
  readonly #limit: ConcurrencyLimit;
  /** What the limit goes by; undefined where it is fixed. */
  readonly #measure: 'duration' | 'chunk' | undefined;
  readonly #line: WaitingLine;
  #running = 0;
  #rejected = 0;
  #waited = 0;
  #waitedMs = 0;

  constructor(terms: BulkheadTerms) {
    const { clock, maxConcurrent, name, report } = terms;
    this.#terms = terms;
    this.#line = new WaitingLine(clock, ({ endsAt, asker }) => this.#refusal('late', endsAt >= asker.deadline));
    if (typeof maxConcurrent === 'number') this.#limit = new FixedLimit(maxConcurrent);
    else {
      this.#measure = maxConcurrent.measure;
      this.#limit = new AdaptiveLimit(maxConcurrent.initial, maxConcurrent, (from, to) =>
        report?.({ type: 'bulkhead.resized', name, from, to }),
      );
    }
  }

  get stats(): BulkheadStats {
    return {
      limit: this.#limit.places,
      running: this.#running,
      waiting: this.#line.size,
      rejected: this.#rejected,
      waited: this.#waited,
      waitedMs: this.#waitedMs,
    };
  }

  async run<T>(work: Work<T>, call: PolicyCall | undefined): Promise<T> {
    if (typeof work !== 'function') throw notWork(this.#terms.name, work);
    let attempt: AttemptCall;
    if (this.#running < this.#limit.places) {
      attempt = attemptOf(call);
      this.#running++;
    } else {
      await this.#wait(call);
      // Nothing may come between this and the work: a caller can leave in the turn in which the place is given.
      try {
        attempt = attemptOf(call);
      } catch (error) {
        this.#leave();
        throw error;
      }
    }
    const begunAt = this.#measure === 'duration' ? this.#terms.clock.now() : 0;
    let value: T;
    try {
      value = await work(attempt);
    } catch (error) {
      // What was too slow to end is the strongest sign of a queue at the other side; any other failure says nothing of time.
      if (isWarmpathError(error, 'WP_DEADLINE')) this.#noteDuration(begunAt);
      this.#leave();
      throw error;
    }
    this.#noteDuration(begunAt);
    if (value instanceof BegunStream) {
      void value.ended.then((end: StreamEnd) => this.#endStream(end));
      this.#admit(); // the limit may have grown
    } else this.#leave();
    return value;
  }

  /** Until a place was taken for this caller. */
  async #wait(call: PolicyCall | undefined): Promise<void> {
    const { clock, maxWaiting, timeoutMs } = this.#terms;
    const asker = new Asker(call);
    if (asker.hasLeft) throw asker.reason;
    if (this.#line.size >= maxWaiting) throw this.#refusal('full', false);
    const now = clock.now();
    const endsAt = Math.min(now + timeoutMs, asker.deadline);
    if (endsAt <= now) throw this.#refusal('late', true);
    await this.#line.join(asker, now, endsAt);
  }

  #noteDuration(begunAt: number): void {
    if (this.#measure === 'duration') this.#limit.note(this.#terms.clock.now() - begunAt, this.#running);
  }

  #endStream({ chunks, ms }: StreamEnd): void {
    if (this.#measure === 'chunk' && chunks > 1) this.#limit.note(ms / (chunks - 1), this.#running);
    this.#leave();
  }

  #leave(): void {
    this.#running--;
    this.#admit();
  }

  /** Something waits only while all places are taken. */
  #admit(): void {
    while (this.#running < this.#limit.places) {
      const enteredAt = this.#line.serve();
      if (enteredAt === undefined) return;
      this.#running++;
      this.#waited++;
      this.#waitedMs += this.#terms.clock.now() - enteredAt;
    }
  }

  /** @param isEnd its caller has no time left to try again */
  #refusal(reason: Extract<BulkheadEvent, { reason: unknown }>['reason'], isEnd: boolean): WarmpathError {
    const { name, maxWaiting, report } = this.#terms;
    const numbers = { running: this.#running, waiting: this.#line.size, limit: this.#limit.places };
    this.#rejected++;
    report?.({ type: 'bulkhead.rejected', name, reason, ...numbers });
    const { running, waiting, limit } = numbers;
    const message =
      reason === 'full'
        ? `'${name}' takes no more: ${running} of ${limit} run, and ${waiting} wait of the ${maxWaiting} that may.`
        : `No place of '${name}' has become free in time: ${running} of ${limit} run, and ${waiting} wait.`;
    const details = { name, ...numbers, maxWaiting, phase: 'not-sent', ...(isEnd && { retryable: false }) };
    return new WarmpathError('WP_OVERLOADED', message, { details });
  }
}
