export {
  type BatcherCounts,
  type CacheStats,
  createPerformanceRecorder,
  type ExecutorCounts,
  type LimiterStats,
  type ModelStats,
  noLimiterStats,
  type ObservedEvent,
  type PerformanceRecorder,
  type PerformanceSnapshot,
  type PipelineCounts,
  type Quantiles,
} from './performance.js';
export { type AttemptCounts, type BreakerCounts, noServiceCounts, type ServiceCounts } from './resilience-counts.js';
