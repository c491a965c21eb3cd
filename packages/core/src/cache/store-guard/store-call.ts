import { Breaker, type BreakerState, type Clock, deadlineError, WarmpathError } from '../../kernel/index.js';
import type { CacheEvent } from '../events.js';
import type { CacheStore } from '../store.js';

/** Calls that have not come back, waited for or not; more of them would only fill the memory. */
const mostCalls = 1_000;
/** A call that has not come back by then counts as lost. */
const lostAfterMs = 30_000;

export type StoreOperation = 'getMany' | 'acquire' | 'setMany' | 'invalidate' | 'append' | 'follow';

export interface StoreCallOptions {
  readonly name: string;
  readonly store: CacheStore;
  readonly storeTimeoutMs: number;
  readonly clock: Clock;
  readonly onEvent: ((event: CacheEvent) => void) | undefined;
}

/** How a call to the store ended, as far as anybody waited: its value, or undefined for every kind of failure. */
export interface StoreOutcome<T> {
  readonly value: T | undefined;
  /** The call is still on its way: what it wrote may yet land. Resolves when it has come back, in whichever way, or counts as lost. */
  readonly late: Promise<void> | undefined;
}

const nothing = { value: undefined, late: undefined };

/** Whose breaker says its state. That of invalidations need not: each says whether it is deferred. */
const accessOf = {
  getMany: 'reading',
  acquire: undefined,
  setMany: 'writing',
  invalidate: undefined,
  append: undefined,
  follow: undefined,
} as const;

/**
 * One call to the store at a time limit, and none while there is no point: every call has a deadline, a store that fails
 * or hangs is left alone for a while, and there is a limit on the calls under way. Reading, writing and invalidating have
 * a breaker each, since a full store can still be read; but one that does not answer reads is left alone altogether.
 * Nothing here ever rejects; each failure is one event.
 */
export class StoreCall {
  readonly #options: StoreCallOptions;
  readonly #breakers = {
    getMany: new Breaker(),
    acquire: new Breaker(),
    setMany: new Breaker(),
    invalidate: new Breaker(),
    append: new Breaker(),
    follow: new Breaker(),
  };
  readonly #onBack: () => void;
  #underWay = 0;

  /** @param onBack called when reads go on after a pause */
  constructor(options: StoreCallOptions, onBack: () => void = () => {}) {
    this.#options = options;
    this.#onBack = onBack;
  }

  /** Whether reads have failed a moment ago, and none is made now. */
  get isAway(): boolean {
    const { getMany } = this.#breakers;
    return getMany.state === 'half-open' || getMany.isPausing(this.#options.clock.now());
  }

  /** @param timeoutMs what is left, where it is one of several calls that somebody waits for */
  async attempt<T>(
    operation: StoreOperation,
    call: (store: CacheStore, signal: AbortSignal) => Promise<T>,
    timeoutMs: number = this.#options.storeTimeoutMs,
  ): Promise<StoreOutcome<T>> {
    const { store, clock } = this.#options;
    if (this.#isPausing(operation)) return nothing;
    if (this.#underWay >= mostCalls) {
      this.#report(operation, () => overloaded(store.name));
      return nothing;
    }
    if (!this.#allows(operation)) return nothing; // asked last: a yes may be the one probe, whose outcome has to follow
    const controller = new AbortController();
    const { promise, resolve } = Promise.withResolvers<StoreOutcome<T>>();
    let isOver = false;
    const end = (error: unknown, outcome: StoreOutcome<T>): void => {
      if (isOver) return; // a call that fails after its deadline has been reported once already
      isOver = true;
      timer.cancel();
      if (error !== undefined) this.#report(operation, () => error);
      this.#record(operation, error === undefined);
      resolve(outcome);
    };
    const timer = clock.schedule(
      timeoutMs,
      () => {
        const error = deadlineError(`Store '${store.name}' (${operation})`, timeoutMs);
        controller.abort(error);
        end(error, { value: undefined, late: isBack });
      },
      { background: operation === 'setMany' || operation === 'append' }, // nobody waits for a write
    );
    const { returned, isBack } = this.#begin(() => call(store, controller.signal));
    returned.then(
      (value) => end(undefined, { value, late: undefined }),
      (error: unknown) => end(error ?? new Error('The store rejected without a reason.'), nothing),
    );
    return promise;
  }

  /** @returns the call, and when it is no longer under way: it has come back, or counts as lost */
  #begin<T>(call: () => Promise<T>): { readonly returned: Promise<T>; readonly isBack: Promise<void> } {
    this.#underWay++;
    const { promise: isBack, resolve } = Promise.withResolvers<void>();
    const lost = this.#options.clock.schedule(lostAfterMs, resolve, { background: true });
    // A store that throws at once, or answers at once, is as good as one that does so later.
    const returned = new Promise<T>((settle) => settle(call()));
    returned.then(
      () => resolve(),
      () => resolve(),
    );
    void isBack.then(() => {
      this.#underWay--;
      lost.cancel();
    });
    return { returned, isBack };
  }

  #isPausing(operation: StoreOperation): boolean {
    const now = this.#options.clock.now();
    return this.#breakers.getMany.isPausing(now) || this.#breakers[operation].isPausing(now);
  }

  #allows(operation: StoreOperation): boolean {
    const breaker = this.#breakers[operation];
    const before = breaker.state;
    const allows = breaker.allows(this.#options.clock.now());
    this.#reportState(operation, before);
    return allows;
  }

  #record(operation: StoreOperation, isGood: boolean): void {
    const breaker = this.#breakers[operation];
    const before = breaker.state;
    breaker.record(isGood, this.#options.clock.now());
    this.#reportState(operation, before);
    if (operation !== 'getMany' || before !== 'half-open' || breaker.state !== 'closed') return;
    for (const each of Object.values(this.#breakers)) each.endPause();
    this.#onBack();
  }

  /** Of many refusals at once each would cost a stack trace: there is no error where nobody listens. */
  #report(operation: StoreOperation, errorOf: () => unknown): void {
    const { name, store, onEvent } = this.#options;
    onEvent?.({ type: 'cache.store-failed', cache: name, store: store.name, operation, error: errorOf() });
  }

  #reportState(operation: StoreOperation, before: BreakerState): void {
    const { name, store, onEvent } = this.#options;
    const { state } = this.#breakers[operation];
    const access = accessOf[operation];
    if (state === before || !access) return;
    onEvent?.({ type: 'cache.store-state', cache: name, store: store.name, access, state });
  }
}

function overloaded(store: string): WarmpathError {
  return new WarmpathError('WP_OVERLOADED', `Store '${store}' has ${mostCalls} calls that have not come back.`, {
    details: { store, mostCalls },
  });
}
