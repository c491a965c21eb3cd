export { isRetryable, nonRetryable, retryAfterMs } from '../kernel/index.js';
export { type FallbackEvent, type FallbackOptions, type FallbackStep, withFallback } from './fallback.js';
export { type AttemptCall, type RetryEvent, type RetryOptions, retry, retryRules } from './retry.js';
