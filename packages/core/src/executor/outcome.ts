import type { ExecutorTask } from './task.js';

/**
 * What came of one task. `ms` is how long it ran: a task that was timed out or aborted may run on after that.
 * - `'timed-out'`: it was running when its own time, or that of all, was up.
 * - `'aborted'`: it was running when nobody wanted it any more.
 * - `'not-started'`: it never ran. The reason is the caller's, the failure that ended the others, or a WarmpathError:
 *   `WP_DEADLINE`, `WP_OVERLOADED` or `WP_CLOSED`.
 */
export type TaskOutcome<T> =
  | { readonly status: 'fulfilled'; readonly value: T; readonly ms: number }
  | { readonly status: 'rejected'; readonly error: unknown; readonly ms: number }
  | { readonly status: 'timed-out'; readonly error: Error; readonly ms: number }
  | { readonly status: 'aborted'; readonly reason: Error; readonly ms: number }
  | { readonly status: 'not-started'; readonly reason: Error };

/** Tasks by position or by name. */
export type TaskCollection = readonly ExecutorTask<unknown>[] | { readonly [name: string]: ExecutorTask<unknown> };

/** What a task promises. */
export type ValueOf<Task> = Task extends (call: never) => infer Result ? Awaited<Result> : never;

/** By position or by name, as the tasks are. */
export type TaskName<Tasks> = Tasks extends readonly unknown[] ? number : Extract<keyof Tasks, string>;

/** Why a run of several tasks was over: `'failure'` in `'fail-fast'` mode only. */
export type RunEnd = 'done' | 'timeout' | 'failure' | 'abort';

/** What several tasks came to. */
export interface RunReport<Tasks extends TaskCollection> {
  /** In the order of the tasks, or under their names. */
  readonly outcomes: { readonly [Name in keyof Tasks]: TaskOutcome<ValueOf<Tasks[Name]>> };
  readonly endedBy: RunEnd;
  /** Every value is there. */
  readonly isComplete: boolean;
  /** The tasks that threw. */
  readonly failed: readonly TaskName<Tasks>[];
  /** The tasks that were timed out, aborted or not started. */
  readonly unfinished: readonly TaskName<Tasks>[];
  /**
   * All values, in the order of the tasks or under their names.
   * @throws where one is missing: the caller's reason when it has left; in `'fail-fast'` mode what ended the run; else an
   *   AggregateError whose errors name their tasks, each with what it threw as its cause
   */
  values(): { -readonly [Name in keyof Tasks]: ValueOf<Tasks[Name]> };
}

/** How far a run of several tasks has come. */
export interface RunProgress<Tasks extends TaskCollection = TaskCollection> {
  /** Tasks that have an outcome, whichever. */
  readonly done: number;
  /** Of these, how many have no value. */
  readonly failed: number;
  readonly total: number;
  /** The one that this is about. */
  readonly task: TaskName<Tasks>;
  readonly outcome: TaskOutcome<unknown>;
}

/** What came of one item of a source. */
export interface ItemOutcome<Item, T> {
  /** From 0, in the order of the source. */
  readonly index: number;
  readonly item: Item;
  readonly outcome: TaskOutcome<T>;
}
