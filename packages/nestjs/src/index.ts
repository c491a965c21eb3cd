export type { BatchCall, BatchResults } from '@warmpath/core/batcher';
export { type CacheReport, withCacheReports } from './cache-report.js';
export { Batched, type BatchedDecorator, type BatchedOptions, type BatchMethod } from './decorators/batched.js';
export { Cached, type CachedOptions } from './decorators/cached.js';
export { bindWarmpath } from './decorators/decorated-method.js';
export type {
  ArgumentsFunction,
  AsyncMethod,
  FitAll,
  FitsArguments,
  MethodPolicyDecorator,
} from './decorators/decorator-types.js';
export { RateLimited, type RateLimitedOptions } from './decorators/rate-limited.js';
export { WithFallback, type WithFallbackDecorator, type WithFallbackOptions } from './decorators/with-fallback.js';
export { exceptionProblem } from './exception-problem.js';
export { GzipInterceptor, type GzipOptions } from './gzip-interceptor.js';
export type { WarmpathModuleOptions } from './options.js';
export { ProblemFilter } from './problem-filter.js';
export { RateLimitedException } from './rate-limited-exception.js';
export { toSseEvent } from './sse-event.js';
export { StreamInterceptor, type StreamOptions } from './stream-interceptor.js';
export { InjectWarmpath, WARMPATH, WarmpathRuntime } from './tokens.js';
export { WarmpathModule, type WarmpathModuleExtras } from './warmpath-module.js';
