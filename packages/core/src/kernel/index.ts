export { abortReason, deadlineError, type LinkedAbort, linkAbort, untilAborted, wait } from './abort.js';
export { Breaker, type BreakerState } from './breaker.js';
export { type ByteSize, byteSizeOf, parseByteSize } from './bytes.js';
export { ambientRules, badOption, checkOptions, type Rule, type Rules, rule } from './check.js';
export { type Clock, coarseNow, systemClock, type Timer } from './clock.js';
export {
  type Attempt,
  type AttemptBudget,
  type AttemptKind,
  type AttemptLedger,
  type CallContext,
  createLedger,
  currentContext,
  joinSignals,
  remainingMs,
  runInContext,
  runShared,
} from './context.js';
export { type Duration, durationMs, parseDuration } from './duration.js';
export { type ErrorDetails, errorCodes, isWarmpathError, WarmpathError, type WarmpathErrorCode } from './errors.js';
export { canonicalKey, compactKey, digestKey, digestText } from './key.js';
export { safeListener } from './listener.js';
export { answerHeaders, type Problem, problemHeaders, problemOf } from './problem.js';
export { type Random, seededRandom, systemRandom } from './random.js';
export type { RedisPort, RedisSubscriber, RedisValue, Script } from './redis-port.js';
export { stringFrom, tenantFrom } from './string-from.js';
