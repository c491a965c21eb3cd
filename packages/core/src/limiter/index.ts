export type {
  Allowed,
  CalendarLimit,
  CalendarPeriod,
  ConcurrencyLimit,
  Cost,
  CostByUnit,
  DecidedBy,
  Decision,
  DimensionStanding,
  Lease,
  LeaseEnd,
  Limit,
  RefusalReason,
  Refused,
  Reservation,
  WindowLimit,
} from './contract.js';
export type { Amounts, Dimension, Verdict } from './dimensions.js';
export type { LimiterEvent } from './events.js';
export type { AdaptiveRateOptions } from './feedback/adaptive-rate.js';
export { settleFromStream } from './feedback/settle-stream.js';
export { rateLimitHeaders } from './headers.js';
export { createLimiter } from './limiter.js';
export type {
  EstimateOf,
  HeadersLike,
  Limiter,
  ProviderAnswer,
  ReserveCall,
  TakeCall,
} from './limiter-types.js';
export { checkLimiter, type LimiterOptions, limiterRules } from './options.js';
export type { DimensionStatus, LimiterStatus, RateChange } from './status.js';
export type {
  LimiterStore,
  StoreAccount,
  StoreExtend,
  StoreSettle,
  StoreTake,
  StoreVerdict,
} from './store.js';
export { type MemoryLimits, type MemoryLimitsOptions, memoryLimits } from './stores/memory-limits.js';
