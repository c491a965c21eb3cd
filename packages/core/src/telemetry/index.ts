export type { ObservedEvent } from './observed-event.js';
export { createPerformanceRecorder, type PerformanceRecorder } from './performance.js';
export { type AttemptCounts, type BreakerCounts, noServiceCounts, type ServiceCounts } from './resilience-counts.js';
export {
  type BatcherCounts,
  type CacheStats,
  type ExecutorCounts,
  type LimiterStats,
  type ModelStats,
  noLimiterStats,
  type PerformanceSnapshot,
  type PipelineCounts,
  type Quantiles,
} from './snapshot.js';
