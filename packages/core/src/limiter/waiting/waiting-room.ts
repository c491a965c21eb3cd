import {
  AbortWatch,
  abortReason,
  badOption,
  dueBy,
  IndexedHeap,
  slots,
  type Timer,
  WarmpathError,
} from '../../kernel/index.js';
import { Line } from './line.js';
import { Waiter } from './waiter.js';
import type { Attempt, Outcome, WaitingRoomOptions, Wish } from './wish.js';

export type { Attempt, Outcome, WaitingRoomOptions, Wish } from './wish.js';

/** A wish that costs nothing must not go before others for ever. */
const costOfNothing = 0.001;

/**
 * Where wishes wait until an attempt succeeds. Those for one key are in one order: strict classes of priority in which what
 * waits rises, inside a class tenants by fair queueing, inside a tenant the earliest deadline. Only the one who is next is
 * tried, and while it does not fit nobody else is, however small: so nobody starves. Nobody who comes later overtakes it, but
 * with a more urgent priority or, in its own tenant, an earlier deadline.
 *
 * Who has not been granted its wish by its deadline is refused at that instant; what fits at the very instant is in time. What
 * an attempt under way brings to one that has been refused or aborted meanwhile is given back.
 *
 * One timer for all, and none where nobody waits. Whatever happens to one who waits costs O(log n).
 */
export class WaitingRoom<V, W extends Wish = Wish> {
  readonly #options: WaitingRoomOptions<V, W>;
  readonly #agingMs: number;
  readonly #lines = new Map<string, Line<Waiter<V, W>>>();
  /** The lines that are tried again at some instant: not those whose attempt is under way, or that only wait to be woken. */
  readonly #retries = new IndexedHeap<Line<Waiter<V, W>>>((a, b) => a.retryAt < b.retryAt);
  readonly #deadlines = new IndexedHeap<Waiter<V, W>>((a, b) => a.wish.deadline < b.wish.deadline, slots.deadline);
  readonly #aborts: AbortWatch<Waiter<V, W>>;
  #size = 0;
  #entered = 0;
  #timer: Timer | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #isRinging = false;
  #isClosed = false;

  constructor(options: WaitingRoomOptions<V, W>) {
    this.#options = options;
    this.#agingMs = options.agingMs > 0 ? options.agingMs : Number.POSITIVE_INFINITY;
    this.#aborts = new AbortWatch((waiters, signal) => this.#dismiss(waiters, abortReason(signal)));
  }

  /** How many wait. */
  get size(): number {
    return this.#size;
  }

  /** How many keys somebody waits for, or an attempt is under way for. */
  get keys(): number {
    return this.#lines.size;
  }

  sizeOf(key: string): number {
    return this.#lines.get(key)?.order.size ?? 0;
  }

  /**
   * What would be served before such a wish if it came now, by dimension: all that is more urgent; of its own class, what is
   * due before it in its tenant, and of the other tenants no more than their shares until then. An estimate; O(1).
   */
  queuedAmounts(wish: W): number[] {
    const now = this.#options.clock.now();
    return this.#amountsBefore(this.#waiterOf(wish, now), now);
  }

  /**
   * Waits until the wish is granted, or refused: at once where its prediction is beyond its deadline, or where too many wait.
   * Who is next is tried at once.
   * @throws (rejects with) the reason of its signal; what the attempt failed with; WarmpathError `WP_CLOSED`, and
   * `WP_BAD_OPTION` for a weight that is not above 0
   */
  enter(wish: W): Promise<Outcome<V>> {
    if (this.#isClosed) return Promise.reject(this.#closedError());
    if (wish.signal?.aborted) return Promise.reject(abortReason(wish.signal));
    const now = this.#options.clock.now();
    const waiter = this.#waiterOf(wish, now);
    if (!(waiter.weight > 0 && waiter.weight < Number.POSITIVE_INFINITY)) {
      const rule = 'a function that returns numbers above 0';
      return Promise.reject(badOption(this.#options.what, 'shareOf', rule, waiter.weight));
    }
    const isFull = this.#size >= this.#options.maxWaiting;
    if (isFull || wish.deadline < Number.POSITIVE_INFINITY) {
      const predictedWaitMs = this.#options.predictMs(wish, this.#amountsBefore(waiter, now));
      if (now + predictedWaitMs > wish.deadline) return Promise.resolve({ refused: 'deadline', predictedWaitMs });
      if (isFull) return Promise.resolve({ refused: 'queue-full', predictedWaitMs });
    }
    return new Promise((resolve, reject) => {
      waiter.resolve = resolve;
      waiter.reject = reject;
      this.#queue(waiter, now);
    });
  }

  /** Something has come back to the key: whoever is next is tried now, or soon after an attempt that is under way. */
  wake(key: string): void {
    const line = this.#lines.get(key);
    if (line === undefined) return;
    if (line.isTrying) line.isWoken = true;
    else this.#advance(line);
  }

  /** Rejects who waits, and whoever comes from now on, with `WP_CLOSED`. Idempotent. */
  close(): void {
    this.#isClosed = true;
    const now = this.#options.clock.now();
    for (const line of [...this.#lines.values()]) {
      for (let waiter = line.order.next(now); waiter !== undefined; waiter = line.order.next(now)) {
        this.#leave(waiter, now);
        waiter.reject(this.#closedError());
      }
      this.#resume(line, now);
    }
    this.#arm();
  }

  #queue(waiter: Waiter<V, W>, now: number): void {
    const { wish } = waiter;
    const line = this.#lines.get(wish.key) ?? new Line(wish.key, this.#agingMs);
    this.#lines.set(wish.key, line);
    waiter.line = line;
    waiter.isWaiting = true;
    line.order.add(waiter, now);
    if (wish.deadline < Number.POSITIVE_INFINITY) this.#deadlines.add(waiter);
    if (wish.signal) this.#aborts.join(wish.signal, waiter);
    this.#size++;
    if (line.order.next(now) !== line.tried) this.#advance(line);
    else this.#arm();
  }

  /** Tries whoever is next, one after the other, until one does not fit. Nothing while an attempt is under way. */
  #advance(line: Line<Waiter<V, W>>): void {
    this.#retries.remove(line);
    while (!line.isTrying) {
      const now = this.#options.clock.now();
      const waiter = line.order.next(now);
      if (waiter === undefined) {
        if (this.#lines.get(line.key) === line) this.#lines.delete(line.key);
        break;
      }
      if (waiter.wish.signal?.aborted) {
        this.#leave(waiter, now);
        waiter.reject(abortReason(waiter.wish.signal));
      } else if (waiter.wish.deadline < now) this.#expire(waiter, now);
      else if (!this.#try(line, waiter)) break;
    }
    this.#arm();
  }

  /** @returns whether the next one can be tried now */
  #try(line: Line<Waiter<V, W>>, waiter: Waiter<V, W>): boolean {
    line.isTrying = true;
    line.isWoken = false;
    let result: Attempt<V> | Promise<Attempt<V>>;
    try {
      result = this.#options.attempt(waiter.wish);
    } catch (error) {
      this.#fail(line, waiter, error);
      return true;
    }
    if (!(result instanceof Promise)) return this.#conclude(line, waiter, result);
    result.then(
      (attempt) => {
        if (this.#conclude(line, waiter, attempt)) this.#advance(line);
        else this.#arm();
      },
      (error) => {
        this.#fail(line, waiter, error);
        this.#advance(line);
      },
    );
    return false;
  }

  /** @returns as `#try` */
  #conclude(line: Line<Waiter<V, W>>, waiter: Waiter<V, W>, attempt: Attempt<V>): boolean {
    const now = this.#options.clock.now();
    if (waiter.isWaiting && waiter.wish.deadline < now) this.#expire(waiter, now);
    // What is called back here may wake this line, so the attempt is over only afterwards.
    if (!waiter.isWaiting && attempt.ok) this.#options.giveBack(waiter.wish, attempt.verdict);
    line.isTrying = false;
    if (!waiter.isWaiting) return true;
    if (attempt.ok) {
      this.#leave(waiter, now, true);
      waiter.resolve({ verdict: attempt.verdict });
      return true;
    }
    line.refuse(waiter, attempt, now);
    if (line.order.next(now) !== waiter) return true;
    if (line.retryAt < Number.POSITIVE_INFINITY) this.#retries.add(line);
    return false;
  }

  #fail(line: Line<Waiter<V, W>>, waiter: Waiter<V, W>, error: unknown): void {
    line.isTrying = false;
    if (!waiter.isWaiting) return;
    this.#leave(waiter, this.#options.clock.now());
    waiter.reject(error);
  }

  #dismiss(waiters: readonly Waiter<V, W>[], error: unknown): void {
    const now = this.#options.clock.now();
    for (const waiter of waiters) {
      this.#leave(waiter, now);
      waiter.reject(error);
    }
    for (const { line } of waiters) this.#resume(line, now);
    this.#arm();
  }

  #expire(waiter: Waiter<V, W>, now: number): void {
    this.#leave(waiter, now);
    const predictedWaitMs = this.#options.predictMs(waiter.wish, this.#amountsBefore(waiter, now));
    waiter.resolve({ refused: 'deadline', predictedWaitMs });
  }

  #leave(waiter: Waiter<V, W>, now: number, isServed = false): void {
    const { line, wish } = waiter;
    if (line === undefined) return;
    waiter.isWaiting = false;
    if (isServed) line.order.serve(waiter, now);
    else line.order.remove(waiter, now);
    this.#deadlines.remove(waiter);
    if (wish.signal) this.#aborts.leave(wish.signal, waiter);
    this.#size--;
  }

  /** To be called for the line of whoever has left without being served: another one may be next, or nobody any more. */
  #resume(line: Line<Waiter<V, W>> | undefined, now: number): void {
    const next = line?.order.next(now);
    if (line !== undefined && (next === undefined || next !== line.tried)) this.#advance(line);
  }

  #ring(): void {
    const now = this.#options.clock.now();
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
    this.#isRinging = true;
    try {
      for (let line = this.#retries.first; line !== undefined && line.retryAt <= now; line = this.#retries.first)
        this.#advance(line);
      this.#expireDue(now);
    } finally {
      this.#isRinging = false;
    }
    this.#arm();
  }

  #expireDue(now: number): void {
    const lines = new Set<Line<Waiter<V, W>> | undefined>();
    let waiter = this.#deadlines.first;
    for (; waiter !== undefined && waiter.wish.deadline <= now; waiter = this.#deadlines.first) {
      this.#expire(waiter, now);
      lines.add(waiter.line);
    }
    for (const line of lines) this.#resume(line, now);
  }

  /** The timer is set anew only for what comes before it: one that rings for nobody does no harm. */
  #arm(): void {
    if (this.#isRinging) return;
    const deadline = this.#deadlines.first?.wish.deadline ?? Number.POSITIVE_INFINITY;
    const at = Math.min(deadline, this.#retries.first?.retryAt ?? Number.POSITIVE_INFINITY);
    if (this.#size > 0 && at >= this.#timerAt) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#timerAt = at;
    if (at === Number.POSITIVE_INFINITY) return;
    const delayMs = Math.max(0, at - this.#options.clock.now());
    this.#timer = this.#options.clock.schedule(delayMs, () => this.#ring());
  }

  #waiterOf(wish: W, now: number): Waiter<V, W> {
    const cost = this.#options.costOf(wish) || costOfNothing;
    const due = dueBy(wish.deadline, now, this.#agingMs);
    return new Waiter(wish, this.#entered++, cost, this.#options.weightOf(wish.tenant), due);
  }

  #amountsBefore(waiter: Waiter<V, W>, now: number): number[] {
    return this.#lines.get(waiter.wish.key)?.order.amountsAhead(waiter, now) ?? waiter.amounts.map(() => 0);
  }

  #closedError(): WarmpathError {
    return new WarmpathError('WP_CLOSED', `The ${this.#options.what} has been closed.`);
  }
}
