import {
  type AttemptBudget,
  ambientRules,
  badOption,
  type Clock,
  checkOptions,
  type Duration,
  deadlineError,
  durationMs,
  isRetryable,
  markSpent,
  type Random,
  type Rules,
  retryAfterMs,
  rule,
  runWithin,
  safeListener,
  systemClock,
  systemRandom,
  wasNotSent,
} from '../kernel/index.js';
import { attemptOf, scopeWithin } from './attempt.js';
import { backoffMs, type Jitter } from './backoff.js';
import { Books, bookkeeping, type Ending } from './books.js';
import { budgetRule } from './budget.js';
import type { AttemptEvent } from './events.js';
import { judgeBy } from './judge.js';
import { pause } from './pause.js';
import { notWork, type Policy, type PolicyCall, type Work } from './policy.js';
import { Asker, type AttemptScope } from './scope.js';

export interface RetryOptions {
  /** Names the work in errors and events. Default `'retry'`. */
  readonly name?: string;
  /** The most attempts, the first included. Default 3. */
  readonly attempts?: number;
  /** The first step of the exponential backoff, from which delays are drawn. Default 200 ms. */
  readonly baseDelay?: Duration;
  /**
   * The longest wait before an attempt, a server's Retry-After included; a server that asks for more is left alone, and the
   * trying ends. Default 30 s.
   */
  readonly maxDelay?: Duration;
  /** How delays are drawn. Default `'full'`. */
  readonly jitter?: Jitter;
  /** The longest that one attempt may take; its signal is aborted then. Never longer than the call's deadline, the default. */
  readonly timeout?: Duration;
  /** The longest that all attempts and the waits between them may take together. Default: the call's deadline. */
  readonly maxElapsed?: Duration;
  /** Whether an error is worth another attempt. Default: `isRetryable`. */
  readonly retryable?: (error: unknown) => boolean;
  /** What further attempts are drawn from. Default: that of the call, or else the one of the process. */
  readonly budget?: AttemptBudget;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly onEvent?: (event: AttemptEvent) => void;
}

export const retryRules: Rules<RetryOptions> = {
  name: rule.text,
  attempts: rule.integer(1, 100),
  baseDelay: rule.duration,
  maxDelay: rule.duration,
  jitter: rule.oneOf('full', 'decorrelated'),
  timeout: rule.positiveDuration,
  maxElapsed: rule.positiveDuration,
  retryable: rule.function,
  budget: budgetRule,
  clock: ambientRules.clock,
  random: ambientRules.random,
  onEvent: ambientRules.onEvent,
};

/**
 * Tries until it works, an error is not worth another attempt, or attempts, time or the budget run out; the last error is
 * thrown as it came. A server's Retry-After is waited for; one that is longer than `maxDelay` or the call's deadline ends the
 * trying at once, so that a fallback can begin. The caller's signal ends everything with its own reason. One retry inside
 * another does not multiply: the one inside makes one attempt of each of the one outside. Streams are tried again until
 * their first chunk is there: see `firstChunk`.
 * @throws WarmpathError `WP_BAD_OPTION`; a call rejects with `WP_DEADLINE` where there is no time for an attempt
 */
export function retry(options: RetryOptions = {}): Policy {
  checkOptions('retry()', options, retryRules);
  const terms = termsOf(options);
  return function retried<T>(work: Work<T>, call?: PolicyCall): Promise<T> {
    return attempts(work, call, terms);
  };
}

type Terms = ReturnType<typeof termsOf>;

function termsOf(options: RetryOptions) {
  const { name = 'retry', attempts = 3, baseDelay = '200ms', maxDelay = '30s', jitter = 'full' } = options;
  const { timeout, maxElapsed, budget, clock = systemClock, random = systemRandom } = options;
  const baseMs = durationMs(baseDelay);
  const maxDelayMs = durationMs(maxDelay);
  if (options.baseDelay !== undefined && baseMs > maxDelayMs) {
    throw badOption('retry()', 'baseDelay', `no longer than 'maxDelay' (${maxDelay})`, baseDelay);
  }
  return {
    name,
    what: `'${name}'`,
    attempts,
    baseMs,
    maxDelayMs,
    jitter,
    timeoutMs: timeout === undefined ? Number.POSITIVE_INFINITY : durationMs(timeout),
    maxElapsedMs: maxElapsed === undefined ? Number.POSITIVE_INFINITY : durationMs(maxElapsed),
    retryable: judgeBy(options.retryable, isRetryable, `The function 'retryable' of '${name}'`),
    clock,
    random,
    keeping: bookkeeping(clock, budget, safeListener(options.onEvent)),
    isTimed: timeout !== undefined || maxElapsed !== undefined,
  };
}

/** Whoever tries again is outside. */
async function once<T>(work: Work<T>, call: PolicyCall | undefined, asker: Asker, terms: Terms): Promise<T> {
  if (!terms.isTimed) return work(attemptOf(call));
  if (asker.hasLeft) throw asker.reason;
  const now = terms.clock.now();
  const endsAt = Math.min(asker.deadline, now + Math.min(terms.timeoutMs, terms.maxElapsedMs));
  if (endsAt <= now) throw deadlineError(terms.what, 0);
  return scopeWithin(asker, endsAt).run(work, terms);
}

async function attempts<T>(work: Work<T>, call: PolicyCall | undefined, terms: Terms): Promise<T> {
  const { name, clock, keeping } = terms;
  if (typeof work !== 'function') throw notWork(name, work);
  const asker = new Asker(call);
  if (asker.context?.running?.isRetried) return once(work, call, asker, terms);
  const isWatched = terms.isTimed || asker.isBound;
  if (isWatched && asker.hasLeft) throw asker.reason;
  const beganAt = isWatched ? clock.now() : keeping.now();
  const until = Math.min(asker.deadline, beganAt + terms.maxElapsedMs);
  if (until <= beganAt) throw deadlineError(terms.what, 0);
  const books = new Books(asker, keeping, terms.attempts);
  let attempt = books.first(true, beganAt);
  let delayMs = 0;
  for (let tried = 1; ; tried++) {
    const scope = books.scope(attempt, Math.min(until, attempt.beganAt + terms.timeoutMs));
    try {
      const value = await (isWatched
        ? scope.run(work, terms)
        : runWithin<AttemptScope, T | PromiseLike<T>>(scope, work));
      books.close(attempt, name);
      return value;
    } catch (error) {
      const ending = endingOf(error, { tried, previousMs: delayMs, until, hasLeft: asker.hasLeft }, books, terms);
      books.close(attempt, name, ending);
      if (ending.delayMs === undefined) {
        if (asker.hasLeft) throw asker.reason;
        throw markSpent(error);
      }
      delayMs = ending.delayMs;
    }
    await pause(asker, clock, delayMs);
    if (asker.hasLeft) throw asker.reason; // in the turn in which the wait has ended
    attempt = books.extra('retry', delayMs, true);
    if (until <= attempt.beganAt) throw deadlineError(terms.what, 0);
  }
}

interface Tried {
  readonly tried: number;
  readonly previousMs: number;
  readonly until: number;
  readonly hasLeft: boolean;
}

/** What an attempt has come to, and whether there is another one: the budget is asked last, since it gives once. */
function endingOf(error: unknown, tries: Tried, books: Books, terms: Terms): Ending {
  const { tried, previousMs, until, hasLeft } = tries;
  if (hasLeft) return { outcome: 'aborted', stop: 'left', error };
  const isFree = wasNotSent(error);
  const outcome = isFree ? 'refused' : 'failed';
  if (!terms.retryable(error)) return { outcome, stop: 'not-retryable', error };
  if (tried >= terms.attempts) return { outcome, stop: 'attempts', error };
  const askedMs = retryAfterMs(error, terms.clock.wall()) ?? 0;
  if (askedMs > terms.maxDelayMs) return { outcome, stop: 'retry-after', error };
  const state = { retries: tried - 1, previousMs };
  const jitteredMs = askedMs + backoffMs(terms.jitter, state, terms.baseMs, terms.maxDelayMs, terms.random);
  const delayMs = Math.min(jitteredMs, terms.maxDelayMs);
  if (terms.clock.now() + delayMs >= until) return { outcome, stop: askedMs > 0 ? 'retry-after' : 'deadline', error };
  return books.takes('retry', isFree) ? { outcome, delayMs, error } : { outcome, stop: 'budget', error };
}
