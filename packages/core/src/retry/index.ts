export { isRetryable, nonRetryable, retryAfterMs } from '../kernel/index.js';
export { type BackoffState, backoffMs, decorrelatedJitterMs, type Jitter } from './backoff.js';
export {
  type AttemptBudgetOptions,
  type BudgetStats,
  type CountedBudget,
  createAttemptBudget,
  sharedBudget,
} from './budget.js';
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
