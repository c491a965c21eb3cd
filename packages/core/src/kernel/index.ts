export { abortReason, deadlineError, type LinkedAbort, linkAbort, untilAborted, wait } from './abort.js';
export { fullJitterMs } from './backoff.js';
export { Breaker, type BreakerState } from './breaker.js';
export { type ByteSize, byteSizeOf, parseByteSize } from './bytes.js';
export { callerRetriesFrom } from './caller-retries.js';
export { ambientRules, badOption, checkOptions, type Rule, type Rules, rule } from './check.js';
export { type Clock, coarseNow, systemClock, type Timer } from './clock.js';
export {
  type Attempt,
  type AttemptBudget,
  type AttemptKind,
  type AttemptLedger,
  type AttemptOutcome,
  type CallContext,
  createLedger,
  currentContext,
  joinSignals,
  type RunningAttempt,
  remainingMs,
  runInContext,
  runOutside,
  runShared,
  runWithin,
  wholeDeadlineOf,
} from './context.js';
export { type Duration, durationMs, parseDuration } from './duration.js';
export { type ErrorDetails, errorCodes, isWarmpathError, WarmpathError, type WarmpathErrorCode } from './errors.js';
export {
  type FailureClass,
  failureClass,
  isRetryable,
  isSpent,
  markSpent,
  nonRetryable,
  retryAfterMs,
  wasNotSent,
} from './failure.js';
export { errorChain, errorStatus, isOfNetwork, textOf } from './foreign-error.js';
export { httpDateOf, instantOf } from './http-date.js';
export { canonicalKey, compactKey, digestKey, digestText } from './key.js';
export { safeListener } from './listener.js';
export { answerHeaders, type Problem, problemHeaders, problemOf } from './problem.js';
export { P2Quantile, RecentQuantile } from './quantile.js';
export { AbortWatch } from './queue/abort-watch.js';
export { Deadlines, type Due, roundingMs } from './queue/deadlines.js';
export { FairQueue } from './queue/fair-queue.js';
export { IndexedHeap, type Placed } from './queue/indexed-heap.js';
export { dueBy, PriorityClasses } from './queue/priority-classes.js';
export { lowestPriority, type Newcomer, type Queued, slots } from './queue/queued.js';
export { type Random, seededRandom, systemRandom } from './random.js';
export type { RedisPort, RedisSubscriber, RedisValue, Script } from './redis-port.js';
export { type HeaderReader, parseRetryAfter } from './retry-after.js';
export { isQuotaSpent } from './spent-quota.js';
export { stringFrom, tenantFrom } from './string-from.js';
export { atTurnsEnd } from './turn.js';
