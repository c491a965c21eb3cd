import type { ResilienceEvent } from './resilience-counts.js';

/** What the snapshot counts, of all that the parts report. Other events pass by. */
export type ObservedEvent =
  | {
      readonly type: 'cache.hit';
      readonly cache: string;
      readonly level: 'memory' | 'store' | 'shared';
      readonly savedMs: number;
      /** False, or why a value past its ttl was served. */
      readonly stale: false | string;
    }
  | {
      readonly type: 'cache.miss' | 'cache.failed' | 'cache.evicted' | 'cache.rejected' | 'cache.store-failed';
      readonly cache: string;
    }
  | { readonly type: 'cache.computed'; readonly cache: string; readonly background: boolean }
  | {
      readonly type: 'limiter.allowed';
      readonly limiter: string;
      readonly decidedBy: string;
      readonly waitedMs: number;
    }
  | { readonly type: 'limiter.refused'; readonly limiter: string; readonly decidedBy: string }
  | { readonly type: 'limiter.store-failed'; readonly limiter: string }
  | {
      readonly type: 'batch.done' | 'batch.failed';
      readonly batcher: string;
      readonly items: number;
      readonly fill: number;
      readonly trigger: string;
    }
  | {
      readonly type: 'task.done';
      readonly executor: string;
      readonly outcome: 'fulfilled' | 'rejected' | 'timed-out' | 'aborted' | 'not-started';
      readonly ms: number;
      readonly waitedMs: number;
      readonly error?: unknown;
    }
  | { readonly type: 'task.refused'; readonly executor: string }
  | { readonly type: 'pipeline.done'; readonly pipeline: string; readonly endedBy: string; readonly ms: number }
  | ResilienceEvent
  | {
      readonly type: 'model.answered';
      readonly model: string;
      readonly outcome: 'complete' | 'aborted' | 'failed';
      readonly firstChunkMs: number | undefined;
      readonly totalMs: number;
      readonly outputTokens: number | undefined;
    };
