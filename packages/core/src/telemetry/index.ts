export {
  type CacheStats,
  createPerformanceRecorder,
  type LimiterStats,
  type ModelStats,
  noLimiterStats,
  type ObservedEvent,
  type PerformanceRecorder,
  type PerformanceSnapshot,
  type Quantiles,
} from './performance.js';
