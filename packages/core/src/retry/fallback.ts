import {
  type AttemptBudget,
  ambientRules,
  type Clock,
  checkOptions,
  deadlineError,
  type Rules,
  rule,
  safeListener,
  systemClock,
  textOf,
} from '../kernel/index.js';
import { Books, bookkeeping, type OpenAttempt } from './books.js';
import { budgetRule } from './budget.js';
import type { AttemptEvent, FallbackEvent, StopReason } from './events.js';
import { judgeBy } from './judge.js';
import type { PolicyCall } from './policy.js';
import { Asker } from './scope.js';
import { begin, checkSteps, endOf, outcomeOf, type Step } from './step.js';

export interface FallbackOptions {
  /** Names the chain in errors and events. Default `'fallback'`. */
  readonly name?: string;
  /** Whether an error is a reason to ask the next step. Default: every error but the caller's own leaving. */
  readonly when?: (error: unknown) => boolean;
  /**
   * What further steps are drawn from. Default: that of the call, or else the one of the process. Either lets a step go where
   * nothing is left: see `createAttemptBudget`.
   */
  readonly budget?: AttemptBudget;
  readonly clock?: Clock;
  readonly onEvent?: (event: FallbackEvent | AttemptEvent) => void;
}

export interface StepFailure {
  readonly step: string;
  readonly error: unknown;
  readonly ms: number;
}

export interface FallbackResult<T> {
  readonly value: T;
  /** Whose value it is. */
  readonly step: string;
  /** What was asked before, and why it was of no use; oldest first. */
  readonly failures: readonly StepFailure[];
}

/** Every step that was asked has failed. `errors` are theirs as they came, oldest first; `failures` say whose they are. */
export class FallbackError extends AggregateError {
  override readonly name: string = 'FallbackError';
  readonly failures: readonly StepFailure[];

  constructor(chain: string, failures: readonly StepFailure[], steps: number) {
    const errors = failures.map(({ error }) => error);
    const said = failures.map(({ step, error }) => `'${step}': ${textOf(error)}`);
    const all = failures.length === steps ? 'All' : `${failures.length} of`;
    super(errors, `${all} ${steps} steps of '${chain}' were asked, and failed. ${said.join(' ')}`, {
      cause: errors.at(-1),
    });
    this.failures = failures;
  }
}

/** Asks one step after the other until one works. */
export type Fallback = <T>(steps: readonly Step<T>[], call?: PolicyCall) => Promise<FallbackResult<T>>;

const rules: Rules<FallbackOptions> = {
  name: rule.text,
  when: rule.function,
  budget: budgetRule,
  clock: ambientRules.clock,
  onEvent: ambientRules.onEvent,
};

/**
 * The outcome of the first step that works. Each has its own time, and none begins after the caller has left or the call's
 * deadline has passed, or once the attempts of the whole call are used up. Where `when` says no, the error is thrown as it came.
 * @throws WarmpathError `WP_BAD_OPTION`; a call rejects with a `FallbackError` that holds each failure, or the caller's reason
 */
export function fallback(options: FallbackOptions = {}): Fallback {
  checkOptions('fallback()', options, rules);
  const { name = 'fallback', clock = systemClock, onEvent } = options;
  const report = safeListener(onEvent);
  const when = judgeBy(options.when, () => true, `The function 'when' of '${name}'`);
  const keeping = bookkeeping(clock, options.budget, report);

  return async function fallenBack<T>(steps: readonly Step<T>[], call?: PolicyCall): Promise<FallbackResult<T>> {
    checkSteps('fallback()', steps);
    const asker = new Asker(call);
    if (asker.hasLeft) throw asker.reason;
    const books = new Books(asker, keeping, steps.length);
    const failures: StepFailure[] = [];

    const stopAfter = (error: unknown, next: Step<T> | undefined): StopReason | undefined => {
      if (asker.hasLeft) return 'left';
      if (!when(error)) return 'not-retryable';
      if (!next) return 'attempts';
      if (clock.now() >= asker.deadline) return 'deadline';
      return books.takes('fallback', outcomeOf(error) === 'refused') ? undefined : 'budget';
    };

    for (const [index, step] of steps.entries()) {
      const attempt: OpenAttempt = index === 0 ? books.first(false, clock.now()) : books.extra('fallback', 0, false);
      if (attempt.beganAt >= asker.deadline) throw deadlineError(`'${name}'`, 0);
      const scope = books.scope(attempt, endOf(step, attempt, asker.deadline));
      try {
        const value = await scope.run((inner) => begin(step, inner), { clock, what: `'${step.name}'` });
        books.close(attempt, step.name);
        return { value, step: step.name, failures };
      } catch (error) {
        failures.push({ step: step.name, error, ms: clock.now() - attempt.beganAt });
        const next = steps[index + 1];
        const stop = stopAfter(error, next);
        const outcome = stop === 'left' ? 'aborted' : outcomeOf(error);
        books.close(attempt, step.name, { outcome, error, ...(stop && { stop }) });
        if (stop === 'left') throw asker.reason;
        if (stop === 'not-retryable') throw error;
        if (stop || !next) break;
        report?.({ type: 'fallback.used', name, failed: step.name, next: next.name, error });
      }
    }
    throw new FallbackError(name, failures, steps.length);
  };
}
