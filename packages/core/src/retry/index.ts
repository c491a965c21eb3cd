export { isRetryable, nonRetryable, retryAfterMs } from '../kernel/index.js';
export { type BackoffState, backoffMs, decorrelatedJitterMs, type Jitter } from './backoff.js';
export {
  type BreakerEvent,
  type BreakerOptions,
  type BreakerOutcome,
  type BreakerPolicy,
  type BreakerSnapshot,
  type BreakerState,
  type BreakerStats,
  breaker,
  breakerRules,
  type OpenCause,
  type OpenReason,
  type SavedWindow,
} from './breaker/index.js';
export {
  type AttemptBudgetOptions,
  type BudgetStats,
  type CountedBudget,
  createAttemptBudget,
  sharedBudget,
} from './budget.js';
export {
  type AdaptiveConcurrency,
  type BulkheadEvent,
  type BulkheadOptions,
  type BulkheadPolicy,
  type BulkheadStats,
  bulkhead,
} from './bulkhead/index.js';
export type { AttemptEvent, FallbackEvent, StopReason } from './events.js';
export {
  type Fallback,
  FallbackError,
  type FallbackOptions,
  type FallbackResult,
  fallback,
  type StepFailure,
} from './fallback.js';
export { BegunStream, firstChunk, type StreamEnd } from './first-chunk.js';
export { type Hedge, type HedgeOptions, type HedgeResult, hedge } from './hedge.js';
export { type AttemptCall, type Policy, type PolicyCall, type Work, wrap } from './policy.js';
export { type RetryOptions, retry, retryRules } from './retry.js';
export type { Step } from './step.js';
export { type TimeoutOptions, timeout } from './timeout.js';
