import type { Duration } from '../kernel/index.js';

/** What a task is given. */
export interface TaskCall {
  /**
   * Aborted when nobody wants the outcome any more: the caller has left, the task's time is up, or the executor has given up on
   * closing. Made when it is first looked at.
   */
  readonly signal: AbortSignal;
}

/**
 * Work that takes a place of an executor while it runs. It runs in the context of whoever asked for it, however long it has
 * waited: every AsyncLocalStorage holds what it held there. Its call context has the task's own signal and deadline where it has
 * a time limit, a signal in its options, or comes with others. Else it is its caller's, and that the executor gives up on
 * closing shows in `call.signal` alone.
 */
export type ExecutorTask<T> = (call: TaskCall) => T | PromiseLike<T>;

/** One of several ways to a value, with a time of its own. */
export interface FallbackTask<T> {
  /** Names it in errors and in the result. */
  readonly name: string;
  /** The longest that it may run, from its start. Default: the executor's `taskTimeout`. */
  readonly timeout?: Duration;
  readonly run: ExecutorTask<T>;
}
