/** Why a batch went when it did. */
export type BatchTrigger = 'full' | 'window' | 'deadline' | 'idle' | 'split' | 'repeat' | 'close';

/** One call of a batch function, and how it ended. */
export interface BatcherEvent {
  readonly type: 'batch.done' | 'batch.failed';
  readonly batcher: string;
  /** Items that were sent. */
  readonly items: number;
  /** How full the batch was, from 0 to 1: of the limit that it was closest to. */
  readonly fill: number;
  readonly trigger: BatchTrigger;
  readonly ms: number;
  /** How long its first item had waited. */
  readonly waitedMs: number;
  /** Of a failed call: what it threw. */
  readonly error?: unknown;
}
