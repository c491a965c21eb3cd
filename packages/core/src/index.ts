export {
  type Batcher,
  type BatcherEvent,
  type BatcherOptions,
  type BatchFunction,
  createBatcher,
} from './batcher/index.js';
export {
  type Cache,
  type CacheCall,
  type CachedStream,
  type CacheEvent,
  type CacheLevel,
  type CacheOptions,
  type CacheResult,
  type CacheStore,
  type Computation,
  createCache,
  type Invalidated,
  type Isolation,
  type KeyvLike,
  keyvStore,
  type ReadCall,
  type Staleness,
  type StandardSchema,
  type StreamCall,
  type TenantCall,
  type WrapOptions,
  type Wrapped,
  type WriteCall,
} from './cache/index.js';
export type { ChatBackend, ChatOptions } from './chat-options.js';
export type { AnswerLayer, Chat, StreamedAnswer } from './create-chat.js';
export { createWarmpath, type Warmpath, type WarmpathOptions } from './create-warmpath.js';
export type { ModelEvent, WarmpathEvent } from './events.js';
export {
  type AttemptBudget,
  type ByteSize,
  type CallContext,
  type Clock,
  currentContext,
  type Duration,
  isWarmpathError,
  type Problem,
  problemOf,
  type Random,
  runInContext,
  seededRandom,
  type Timer,
  WarmpathError,
  type WarmpathErrorCode,
} from './kernel/index.js';
export {
  createLimiter,
  type Decision,
  type Limiter,
  type LimiterEvent,
  type LimiterOptions,
  rateLimitHeaders,
} from './limiter/index.js';
export {
  type ChatAnswer,
  type ChatChunk,
  type ChatMessage,
  type ChatModel,
  type ChatRequest,
  type Citation,
  extractive,
  type FinishReason,
  type ModelCall,
  type Passage,
  type Usage,
} from './models/index.js';
export {
  type AttemptCall,
  type FallbackEvent,
  type FallbackOptions,
  type FallbackStep,
  nonRetryable,
  type RetryEvent,
  type RetryOptions,
  retry,
  withFallback,
} from './retry/index.js';
export {
  type Backend,
  createSelector,
  type Ranking,
  type Selector,
  type SelectorEvent,
  type SelectorOptions,
  type SelectorRule,
} from './selector/index.js';
export {
  encodeSse,
  type MeterOptions,
  meterStream,
  type RespondOptions,
  respondWithEvents,
  responseSignal,
  type SseEvent,
  type StreamEnd,
} from './streaming/index.js';
export type { PerformanceSnapshot } from './telemetry/index.js';
