/** What became of a task of an executor. */
export type ExecutorEvent =
  | {
      /** Its caller has been told. A task that was timed out or aborted may run on, and then keeps its place. */
      readonly type: 'task.done';
      readonly executor: string;
      readonly outcome: 'fulfilled' | 'rejected' | 'timed-out' | 'aborted' | 'not-started';
      /** How long it ran; 0 where it never began. */
      readonly ms: number;
      /** How long it waited for a place. */
      readonly waitedMs: number;
      /** What its caller was told, unless it was a value. */
      readonly error?: unknown;
    }
  | {
      readonly type: 'task.refused';
      readonly executor: string;
      readonly reason: 'overloaded' | 'closed';
      readonly running: number;
      readonly waiting: number;
    };
