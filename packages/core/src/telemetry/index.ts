export {
  type CacheStats,
  createPerformanceRecorder,
  type LimiterStats,
  type ModelStats,
  type ObservedEvent,
  type PerformanceRecorder,
  type PerformanceSnapshot,
  type Quantiles,
} from './performance.js';
