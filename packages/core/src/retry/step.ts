import { badOption, checkOptions, type Duration, durationMs, type Rules, rule, wasNotSent } from '../kernel/index.js';
import type { OpenAttempt } from './books.js';
import type { AttemptCall, Policy, Work } from './policy.js';

/** One way to get the answer, at one backend. */
export interface Step<T> {
  readonly name: string;
  readonly run: Work<T>;
  /** The longest that it may take. Never longer than the call's deadline, the default. */
  readonly timeout?: Duration;
  /**
   * Stands before the step, such as its backend's breaker: what it refuses was not sent, so the next step is the first attempt. While its
   * state is `'open'` a hedge chooses another step.
   */
  readonly policy?: Policy & { readonly state?: string };
}

const stepRules: Rules<Step<unknown>> = {
  name: rule.required(rule.text),
  run: rule.required(rule.function),
  timeout: rule.positiveDuration,
  policy: rule.function,
};

const someSteps = rule.arrayOf(rule.object, 1);

/** @throws WarmpathError `WP_BAD_OPTION` */
export function checkSteps(where: string, steps: readonly Step<unknown>[]): void {
  if (!someSteps.allows(steps)) throw badOption(where, 'steps', 'a list of at least one { name, run }', steps);
  for (const [index, step] of steps.entries()) checkOptions(`${where} steps[${index}]`, step, stepRules);
}

/** When the step is over at the latest. */
export function endOf({ timeout }: Step<unknown>, { beganAt }: OpenAttempt, deadline: number): number {
  return timeout === undefined ? deadline : Math.min(deadline, beganAt + durationMs(timeout));
}

export function begin<T>({ run, policy }: Step<T>, call: AttemptCall): T | PromiseLike<T> {
  return policy ? policy(run, call) : run(call);
}

/** What a failed step has come to. */
export function outcomeOf(error: unknown): 'refused' | 'failed' {
  return wasNotSent(error) ? 'refused' : 'failed';
}
