import { AsyncResource } from 'node:async_hooks';
import {
  type AttemptBudget,
  ambientRules,
  type Clock,
  checkOptions,
  type Duration,
  deadlineError,
  durationMs,
  RecentQuantile,
  type Rules,
  rule,
  safeListener,
  systemClock,
} from '../kernel/index.js';
import { type Alarm, alarmsOf } from './alarms.js';
import { Books, bookkeeping, type OpenAttempt } from './books.js';
import { budgetRule } from './budget.js';
import type { AttemptEvent } from './events.js';
import { leaveUnread } from './first-chunk.js';
import type { PolicyCall } from './policy.js';
import { Asker, type AttemptScope } from './scope.js';
import { begin, checkSteps, endOf, outcomeOf, type Step } from './step.js';

export interface HedgeOptions {
  /** Names it in errors and events. Default `'hedge'`. */
  readonly name?: string;
  /**
   * When a second backend is asked as well. Default: once the first has taken longer than 95 % of its last 250 to 500 calls, as
   * soon as 20 are known.
   */
  readonly after?: Duration;
  /** What second attempts are drawn from. Default: that of the call, or else the one of the process. */
  readonly budget?: AttemptBudget;
  readonly clock?: Clock;
  readonly onEvent?: (event: AttemptEvent) => void;
}

export interface HedgeResult<T> {
  readonly value: T;
  /** Whose value it is. */
  readonly step: string;
  /** Whether a second backend was asked. */
  readonly hedged: boolean;
}

/** Asks the first step, and another one as well where the first is late. */
export type Hedge = <T>(steps: readonly Step<T>[], call?: PolicyCall) => Promise<HedgeResult<T>>;

const rules: Rules<HedgeOptions> = {
  name: rule.text,
  after: rule.positiveDuration,
  budget: budgetRule,
  clock: ambientRules.clock,
  onEvent: ambientRules.onEvent,
};

const share = 0.95;
/** A changed behaviour is learned after this many calls. */
const memory = 250;
/** Below this many samples nobody knows what is late. */
const samplesNeeded = 20;
/** Of so many backends the times are known; one more takes the place of the one that was known first. */
const mostBackends = 100;

/**
 * The first value that comes: of the first step whose breaker is not open, or, where that is late, of the next such one. At most two are under
 * way; the loser is aborted and counted. A first step that fails before the second is asked fails the call: trying again and elsewhere
 * is for `retry` and `fallback`. Where both fail, the first one's error is thrown. Streams race to their first chunk (`firstChunk`).
 * After J. Dean and L. A. Barroso, "The Tail at Scale" (CACM 56(2), 2013).
 * @throws WarmpathError `WP_BAD_OPTION`; a call rejects with a step's error, or the caller's reason
 */
export function hedge(options: HedgeOptions = {}): Hedge {
  checkOptions('hedge()', options, rules);
  const { name = 'hedge', after, clock = systemClock } = options;
  const keeping = bookkeeping(clock, options.budget, safeListener(options.onEvent));
  const fixedMs = after === undefined ? undefined : durationMs(after);
  const times = new Map<string, RecentQuantile>();

  const lateMs = (step: string): number => {
    if (fixedMs !== undefined) return fixedMs;
    const known = times.get(step);
    return known && known.count >= samplesNeeded ? (known.value ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY;
  };

  const learn = (step: string, ms: number): void => {
    let known = times.get(step);
    if (!known) {
      known = new RecentQuantile(share, memory);
      const [oldest] = times.keys();
      if (times.size >= mostBackends && oldest !== undefined) times.delete(oldest);
      times.set(step, known);
    }
    known.add(ms);
  };

  return async function hedged<T>(steps: readonly Step<T>[], call?: PolicyCall): Promise<HedgeResult<T>> {
    checkSteps('hedge()', steps);
    const asker = new Asker(call);
    if (asker.hasLeft) throw asker.reason;
    if (clock.now() >= asker.deadline) throw deadlineError(`'${name}'`, 0);
    const books = new Books(asker, keeping);
    const well = steps.filter(({ policy }) => policy?.state !== 'open');
    const runners = well.length > 0 ? well : steps; // where all are open, a breaker says so
    return new Race(runners, asker, books, clock, learn).run(lateMs(runners[0]?.name ?? ''));
  };
}

interface Runner<T> {
  readonly step: Step<T>;
  readonly attempt: OpenAttempt;
  readonly scope: AttemptScope;
}

/** One call: the steps that are under way for it. */
class Race<T> {
  readonly #steps: readonly Step<T>[];
  readonly #asker: Asker;
  readonly #books: Books;
  readonly #clock: Clock;
  readonly #learn: (step: string, ms: number) => void;
  readonly #runners: Runner<T>[] = [];
  readonly #outcome = Promise.withResolvers<HedgeResult<T>>();
  /** By runner. */
  readonly #errors = new Map<Runner<T>, unknown>();
  #alarm: Alarm | undefined;
  #isWon = false;

  constructor(
    steps: readonly Step<T>[],
    asker: Asker,
    books: Books,
    clock: Clock,
    learn: (step: string, ms: number) => void,
  ) {
    this.#steps = steps;
    this.#asker = asker;
    this.#books = books;
    this.#clock = clock;
    this.#learn = learn;
  }

  run(lateMs: number): Promise<HedgeResult<T>> {
    const [first] = this.#steps;
    if (first) this.#begin(first, this.#books.first(false, this.#clock.now()));
    if (lateMs !== Number.POSITIVE_INFINITY && this.#steps.length > 1) {
      // Bound, so that the second step finds the same AsyncLocalStorages as the first.
      const ring = AsyncResource.bind(() => this.#hedge(lateMs));
      this.#alarm = { endsAt: this.#clock.now() + lateMs, places: [], ring };
      alarmsOf(this.#clock).add(this.#alarm);
    }
    return this.#outcome.promise;
  }

  #hedge(waitedMs: number): void {
    this.#alarm = undefined;
    const second = this.#steps.slice(1).find(({ policy }) => policy?.state !== 'open');
    if (!second || this.#asker.hasLeft || !this.#books.takes('hedge', false)) return;
    this.#begin(second, this.#books.extra('hedge', waitedMs, false));
  }

  #begin(step: Step<T>, attempt: OpenAttempt): void {
    const scope = this.#books.scope(attempt, endOf(step, attempt, this.#asker.deadline));
    const runner = { step, attempt, scope };
    this.#runners.push(runner);
    scope
      .run((inner) => begin(step, inner), { clock: this.#clock, what: `'${step.name}'` })
      .then(
        (value) => this.#won(runner, value),
        (error) => this.#lost(runner, error),
      );
  }

  #won({ step, attempt, scope }: Runner<T>, value: T): void {
    this.#learn(step.name, this.#clock.now() - attempt.beganAt);
    this.#books.close(attempt, step.name);
    if (this.#isWon) {
      leaveUnread(value); // both have come in one turn
      return;
    }
    this.#isWon = true;
    this.#disarm();
    this.#outcome.resolve({ value, step: step.name, hedged: this.#runners.length > 1 });
    for (const other of this.#runners) {
      if (other.scope !== scope) other.scope.abort(new DOMException('Another backend was faster.', 'AbortError'));
    }
  }

  #lost(runner: Runner<T>, error: unknown): void {
    const { step, attempt, scope } = runner;
    const hasLeft = this.#asker.hasLeft;
    const isBeaten = this.#isWon && error === scope.reason && !hasLeft;
    // What was aborted had taken at least so long: without it the quantile would sink with every hedge.
    if (isBeaten) this.#learn(step.name, this.#clock.now() - attempt.beganAt);
    this.#books.close(attempt, step.name, { outcome: hasLeft || isBeaten ? 'aborted' : outcomeOf(error), error });
    this.#errors.set(runner, error);
    if (!hasLeft && this.#errors.size < this.#runners.length) return;
    this.#disarm();
    const [first] = this.#runners;
    this.#outcome.reject(hasLeft ? this.#asker.reason : first && this.#errors.get(first));
  }

  #disarm(): void {
    if (this.#alarm) alarmsOf(this.#clock).remove(this.#alarm);
    this.#alarm = undefined;
  }
}
