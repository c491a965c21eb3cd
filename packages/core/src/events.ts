import type { BatcherEvent } from './batcher/index.js';
import type { CacheEvent } from './cache/index.js';
import type { ExecutorEvent, PipelineEvent } from './executor/index.js';
import type { HttpEvent } from './http/index.js';
import type { LimiterEvent } from './limiter/index.js';
import type { AttemptEvent, BreakerEvent, BulkheadEvent, FallbackEvent } from './retry/index.js';
import type { SelectorEvent } from './selector/index.js';

/** One physical answer of a model: cached and shared answers have none. */
export interface ModelEvent {
  readonly type: 'model.answered';
  readonly model: string;
  readonly outcome: 'complete' | 'aborted' | 'failed';
  /** Undefined when nothing came. */
  readonly firstChunkMs: number | undefined;
  readonly totalMs: number;
  /** As the model's server counts them; undefined when it does not. */
  readonly outputTokens: number | undefined;
}

/** Everything that the parts of a runtime report, as one union. */
export type WarmpathEvent =
  | AttemptEvent
  | BatcherEvent
  | BreakerEvent
  | BulkheadEvent
  | CacheEvent
  | ExecutorEvent
  | FallbackEvent
  | HttpEvent
  | LimiterEvent
  | ModelEvent
  | PipelineEvent
  | SelectorEvent;
