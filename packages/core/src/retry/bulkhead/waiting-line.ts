import {
  type Clock,
  Deadlines,
  type Due,
  FairQueue,
  isWarmpathError,
  lowestPriority,
  type Queued,
} from '../../kernel/index.js';
import type { Asker } from '../scope.js';

const noAmounts: readonly number[] = [];

/** What a waiter needs of the line that it stands in. */
interface Line {
  leave(waiter: Waiter, reason: Error): void;
}

class Waiter implements Queued, Due {
  readonly tenant: string;
  readonly amounts: readonly number[] = noAmounts;
  readonly cost = 1;
  readonly weight = 1;
  readonly priority: number = lowestPriority;
  readonly riseAt: number = Number.POSITIVE_INFINITY;
  readonly due: number;
  readonly endsAt: number;
  readonly enteredAt: number;
  readonly sequence: number;
  readonly places: number[] = [-1, -1, -1];
  readonly asker: Asker;
  readonly outcome: PromiseWithResolvers<void> = Promise.withResolvers<void>();
  readonly #line: Line;

  constructor(line: Line, asker: Asker, times: { enteredAt: number; endsAt: number }, sequence: number) {
    this.tenant = asker.context?.tenant ?? '';
    this.due = asker.deadline;
    this.endsAt = times.endsAt;
    this.enteredAt = times.enteredAt;
    this.sequence = sequence;
    this.asker = asker;
    this.#line = line;
  }

  /** Its caller has left. */
  abort(reason: Error): void {
    this.#line.leave(this, reason);
  }
}

/**
 * Those who wait for a place: tenants in turn, each one's callers by their deadlines. Whoever leaves or is late is out at once; one
 * timer for all, and no listener is left behind.
 */
export class WaitingLine implements Line {
  readonly #queue = new FairQueue<Waiter>();
  readonly #deadlines: Deadlines<Waiter>;
  readonly #onLate: (waiter: Waiter) => Error;
  #size = 0;
  #sequence = 0;

  /** @param onLate gives the error of one whose time is over, when it is out of the line */
  constructor(clock: Clock, onLate: (waiter: Waiter) => Error) {
    this.#onLate = onLate;
    this.#deadlines = new Deadlines(clock, (waiter) => {
      this.#remove(waiter);
      waiter.outcome.reject(onLate(waiter));
    });
  }

  get size(): number {
    return this.#size;
  }

  /** Done when it has been given a place, by `serve`; rejects with the reason of a caller who leaves. */
  join(asker: Asker, enteredAt: number, endsAt: number): Promise<void> {
    const waiter = new Waiter(this, asker, { enteredAt, endsAt }, this.#sequence++);
    this.#queue.begin();
    this.#queue.add(waiter);
    this.#size++;
    if (endsAt < Number.POSITIVE_INFINITY) this.#deadlines.add(waiter);
    asker.watch(waiter);
    return waiter.outcome.promise;
  }

  /** Gives a place to whoever is next. @returns when that one came; undefined where nobody waits */
  serve(): number | undefined {
    const waiter = this.#queue.next;
    if (!waiter) return undefined;
    this.#queue.serve(waiter);
    this.#forget(waiter);
    waiter.outcome.resolve();
    return waiter.enteredAt;
  }

  leave(waiter: Waiter, reason: Error): void {
    this.#remove(waiter);
    // The time of an attempt outside is over, which says nothing of what has never begun: a breaker in between is to see that.
    waiter.outcome.reject(isWarmpathError(reason, 'WP_DEADLINE') ? this.#onLate(waiter) : reason);
  }

  #remove(waiter: Waiter): void {
    this.#queue.remove(waiter);
    this.#forget(waiter);
  }

  #forget(waiter: Waiter): void {
    this.#size--;
    this.#deadlines.remove(waiter);
    waiter.asker.unwatch(waiter);
  }
}
