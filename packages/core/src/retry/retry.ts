import {
  abortReason,
  ambientRules,
  badOption,
  type CallContext,
  type Clock,
  checkOptions,
  createLedger,
  currentContext,
  type Duration,
  deadlineError,
  durationMs,
  fullJitterMs,
  isRetryable,
  joinSignals,
  linkAbort,
  type Random,
  type Rules,
  remainingMs,
  retryAfterMs,
  rule,
  runInContext,
  safeListener,
  systemClock,
  systemRandom,
  untilAborted,
  wait,
} from '../kernel/index.js';

export interface RetryOptions {
  /** Names the work in errors and events. Default `'retry'`. */
  readonly name?: string;
  /** The most attempts, the first included. Default 3. */
  readonly attempts?: number;
  /** The first step of the exponential backoff, from which the delay is drawn with full jitter. Default 200 ms. */
  readonly baseDelay?: Duration;
  /**
   * The longest wait before an attempt, a server's Retry-After included; a server that asks for more is left alone, and the
   * trying ends. Default 10 s.
   */
  readonly maxDelay?: Duration;
  /** The longest that one attempt may take; its signal is aborted then. Never longer than the call's deadline, the default. */
  readonly timeout?: Duration;
  /** Whether an error is worth another attempt. Default: `isRetryable`. */
  readonly retryable?: (error: unknown) => boolean;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly onEvent?: (event: RetryEvent) => void;
}

export type RetryEvent = {
  readonly type: 'retry.attempt';
  readonly name: string;
  /** 1 for the first. */
  readonly attempt: number;
  readonly outcome: 'ok' | 'failed' | 'aborted';
  readonly ms: number;
  /** How long until the next attempt; absent when there is none. */
  readonly delayMs?: number;
  readonly error?: unknown;
};

export interface AttemptCall {
  /** 1 for the first. */
  readonly attempt: number;
  /** Aborted when the attempt's time is up or the caller leaves; each attempt has its own. */
  readonly signal: AbortSignal;
}

export const retryRules: Rules<RetryOptions> = {
  name: rule.text,
  attempts: rule.integer(1, 100),
  baseDelay: rule.duration,
  maxDelay: rule.duration,
  timeout: rule.positiveDuration,
  retryable: rule.function,
  signal: ambientRules.signal,
  clock: ambientRules.clock,
  random: ambientRules.random,
  onEvent: ambientRules.onEvent,
};

/**
 * Tries until it works, an error is not worth another attempt, or attempts, time or the call's ledger run out; the last
 * error is thrown as it came. A server's Retry-After is waited for; one that is longer than `maxDelay` or the call's
 * deadline ends the trying at once, so that a fallback can begin. The caller's signal ends everything with its own reason.
 * One retry inside another does not multiply: the attempts of the outer one are all that both have.
 */
export async function retry<T>(attempt: (call: AttemptCall) => Promise<T>, options: RetryOptions = {}): Promise<T> {
  checkOptions('retry()', options, retryRules);
  if (typeof attempt !== 'function') throw badOption('retry()', 'attempt', 'a function', attempt);
  const {
    name = 'retry',
    attempts = 3,
    baseDelay = '200ms',
    maxDelay = '10s',
    timeout,
    retryable = isRetryable,
  } = options;
  const { clock = systemClock, random = systemRandom, onEvent } = options;
  const signal = joinSignals(options.signal, currentContext()?.signal);
  const ledger = currentContext()?.ledger ?? createLedger(attempts);
  const budget = currentContext()?.budget;
  const perAttemptMs = timeout === undefined ? Number.POSITIVE_INFINITY : durationMs(timeout);
  const maxDelayMs = durationMs(maxDelay);
  const baseDelayMs = durationMs(baseDelay);
  if (options.baseDelay !== undefined && baseDelayMs > maxDelayMs) {
    throw badOption('retry()', 'baseDelay', `no longer than 'maxDelay' (${maxDelay})`, baseDelay);
  }
  const what = `'${name}'`;
  const outer = currentContext()?.attempt;
  const report = safeListener(onEvent);

  const delayAfter = (error: unknown, number: number): number | undefined => {
    if (signal?.aborted || number >= attempts || !retryable(error) || ledger.used >= ledger.limit) return undefined;
    const askedMs = retryAfterMs(error) ?? 0;
    if (askedMs > maxDelayMs) return undefined;
    const delayMs = askedMs + fullJitterMs(number - 1, baseDelayMs, maxDelayMs, random);
    if (delayMs >= remainingMs(clock)) return undefined;
    return budget && !budget.withdraw() ? undefined : delayMs;
  };

  budget?.deposit();
  for (let number = 1; ; number++) {
    if (signal?.aborted) throw abortReason(signal);
    const leftMs = remainingMs(clock);
    if (leftMs === 0) throw deadlineError(what, 0);
    if (number === 1 && outer && !outer.claimed) outer.claimed = true;
    else ledger.begin();
    const running = { claimed: false };
    const began = clock.now();
    const over = (outcome: RetryEvent['outcome'], rest: Pick<RetryEvent, 'delayMs' | 'error'> = {}): void => {
      const ms = clock.now() - began;
      // What a retry inside has made of this attempt stands in the ledger already.
      if (!running.claimed) ledger.record({ kind: number === 1 ? 'first' : 'retry', target: name, ms, outcome });
      report?.({ type: 'retry.attempt', name, attempt: number, outcome, ms, ...rest });
    };
    try {
      const limits = { parents: [signal], timeoutMs: Math.min(perAttemptMs, leftMs), clock, what };
      const value = await once(attempt, number, limits, { ledger, attempt: running });
      over('ok');
      return value;
    } catch (error) {
      const delayMs = delayAfter(error, number);
      over(signal?.aborted ? 'aborted' : 'failed', delayMs === undefined ? { error } : { error, delayMs });
      if (delayMs === undefined) throw signal?.aborted ? abortReason(signal) : error;
      await wait(clock, delayMs, signal);
    }
  }
}

/** One attempt: it ends at its timeout or with the caller's signal even when the work does not listen. */
async function once<T>(
  attempt: (call: AttemptCall) => Promise<T>,
  number: number,
  limits: Parameters<typeof linkAbort>[0],
  context: Pick<CallContext, 'ledger' | 'attempt'>,
): Promise<T> {
  const abort = linkAbort(limits);
  try {
    const work = runInContext({ signal: abort.signal, ...context }, () =>
      attempt({ attempt: number, signal: abort.signal }),
    );
    return await untilAborted(work, abort.signal);
  } finally {
    abort.release();
  }
}
