import {
  Breaker,
  type BreakerState,
  type Clock,
  deadlineError,
  type Timer,
  WarmpathError,
} from '../../kernel/index.js';
import type { LimiterStore } from '../store.js';
import type { SharedEvent, StoreOperation } from './events.js';

/** Calls that have not come back, waited for or not; more of them would only fill the memory. A burst of keys is one call for each. */
const mostCalls = 10_000;
/** A call that has not come back by then counts as lost. */
const lostAfterMs = 30_000;

export interface StoreCallOptions {
  readonly limiter: string;
  readonly store: LimiterStore;
  readonly storeTimeoutMs: number;
  readonly clock: Clock;
  readonly onEvent: ((event: SharedEvent) => void) | undefined;
}

export interface Attempt<T> {
  /** What is left, where somebody has waited already. Default: the whole deadline. */
  readonly timeoutMs?: number;
  /** Nobody waits for it. */
  readonly background?: boolean;
  /** Asked though the store is left alone, since it has just been heard of. Says nothing to the breaker. */
  readonly despitePause?: boolean;
  /** What it answered after its deadline, however late. */
  readonly late?: (value: T) => void;
  /** It has failed, or was never made, or counts as lost: nobody will know what it has done. Once, and before `late`, if at all. */
  readonly lost?: () => void;
}

/**
 * One call to the store at a time limit, and none while there is no point: every call has a deadline, a store that fails
 * or hangs is left alone for a while, and there is a limit on the calls under way. Whatever it answers is a success, refusals
 * too. An answer after the deadline is none for the breaker: a store that is always late would be waited for for ever.
 * Nothing here ever rejects; each failure of a call that was made is one event.
 */
export class StoreCall {
  readonly #options: StoreCallOptions;
  readonly #breaker = new Breaker();
  /** The timers of calls that are late. */
  readonly #late = new Set<Timer>();
  #underWay = 0;
  #isClosed = false;

  constructor(options: StoreCallOptions) {
    this.#options = options;
  }

  get state(): BreakerState {
    return this.#breaker.state;
  }

  /** Until it is worth trying again: the end of the pause, or of the call that tries. */
  retryInMs(): number {
    const { clock, storeTimeoutMs } = this.#options;
    return this.#breaker.pauseLeftMs(clock.now()) || storeTimeoutMs;
  }

  /** @returns what the store answered in time; undefined for every kind of failure */
  async attempt<T>(
    operation: StoreOperation,
    call: (store: LimiterStore, signal: AbortSignal) => Promise<T>,
    { timeoutMs = this.#options.storeTimeoutMs, background = false, despitePause, late, lost }: Attempt<T> = {},
  ): Promise<{ readonly value: T } | undefined> {
    const { store, clock } = this.#options;
    if (!this.#mayBegin(operation, despitePause)) {
      lost?.();
      return undefined;
    }
    const controller = new AbortController();
    const { promise, resolve } = Promise.withResolvers<{ readonly value: T } | undefined>();
    let isOver = false;
    let isLost = false;
    let lostTimer: Timer | undefined;
    const end = (
      failure: { readonly error: unknown } | undefined,
      outcome: { readonly value: T } | undefined,
    ): void => {
      isOver = true;
      timer.cancel();
      if (failure) this.#report(operation, () => failure.error);
      if (!despitePause) this.#record(failure === undefined);
      resolve(outcome);
    };
    const lose = (): void => {
      if (isLost) return;
      isLost = true;
      lost?.();
    };
    const back = (): void => {
      lostTimer?.cancel();
      if (!lostTimer || this.#late.delete(lostTimer)) this.#underWay--;
    };
    const onDeadline = (): void => {
      const error = deadlineError(`Store '${store.name}' (${operation})`, timeoutMs);
      lostTimer = this.#watchLate(lose);
      end({ error }, undefined);
      controller.abort(error); // last: a store that answers this with a rejection finds all in order
    };
    const timer = clock.schedule(timeoutMs, onDeadline, { background });
    this.#underWay++;
    // A store that throws at once is as good as one that rejects later.
    new Promise<T>((settle) => settle(call(store, controller.signal))).then(
      (value) => {
        back();
        if (isOver) late?.(value);
        else end(undefined, { value });
      },
      (error: unknown) => {
        back();
        lose();
        if (!isOver) end({ error: error ?? new Error('The store rejected without a reason.') }, undefined);
      },
    );
    return promise;
  }

  /** Calls that are late are no longer counted, and have no timer; what they answer is still heard. */
  close(): void {
    this.#isClosed = true;
    for (const timer of this.#late) timer.cancel();
    this.#underWay -= this.#late.size;
    this.#late.clear();
  }

  #watchLate(lose: () => void): Timer {
    const lost = (): void => {
      if (this.#late.delete(timer)) this.#underWay--;
      lose();
    };
    const timer = this.#options.clock.schedule(lostAfterMs, lost, { background: true });
    this.#late.add(timer);
    if (this.#isClosed) this.close();
    return timer;
  }

  #mayBegin(operation: StoreOperation, despitePause = false): boolean {
    const { store, clock } = this.#options;
    const now = clock.now();
    if (!despitePause && this.#breaker.isPausing(now)) return false;
    if (this.#underWay >= mostCalls) {
      this.#report(operation, () => overloaded(store.name));
      return false;
    }
    if (despitePause) return true;
    const before = this.#breaker.state;
    const allows = this.#breaker.allows(now); // asked last: a yes may be the one probe, whose outcome has to follow
    this.#reportState(before);
    return allows;
  }

  #record(isGood: boolean): void {
    const before = this.#breaker.state;
    this.#breaker.record(isGood, this.#options.clock.now());
    this.#reportState(before);
  }

  /** Of many refusals at once each would cost a stack trace: there is no error where nobody listens. */
  #report(operation: StoreOperation, errorOf: () => unknown): void {
    const { limiter, store, onEvent } = this.#options;
    onEvent?.({ type: 'limiter.store-failed', limiter, store: store.name, operation, error: errorOf() });
  }

  #reportState(before: BreakerState): void {
    const { limiter, store, onEvent } = this.#options;
    const { state } = this.#breaker;
    if (state !== before) onEvent?.({ type: 'limiter.store-state', limiter, store: store.name, state });
  }
}

function overloaded(store: string): WarmpathError {
  return new WarmpathError('WP_OVERLOADED', `Store '${store}' has ${mostCalls} calls that have not come back.`, {
    details: { store, mostCalls },
  });
}
