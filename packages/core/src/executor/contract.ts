import type { Clock, Duration } from '../kernel/index.js';
import type { ExecutorEvent } from './events.js';
import type { ItemOutcome, RunProgress, RunReport, TaskCollection, ValueOf } from './outcome.js';
import type { ExecutorTask, FallbackTask, TaskCall } from './task.js';

export interface ExecutorOptions {
  /** Names the executor in errors and events. Default `'executor'`. */
  readonly name?: string;
  /** The most tasks that run at a time. Default 8. */
  readonly maxConcurrent?: number;
  /** The most tasks that wait; more are refused with `WP_OVERLOADED`. Default 100,000. */
  readonly maxWaiting?: number;
  /** The longest that a task may run, from its start. Default: as long as it likes. */
  readonly taskTimeout?: Duration;
  /** What waits for so long rises by a class of priority. 0: never. Default 10 s. */
  readonly aging?: Duration;
  readonly clock?: Clock;
  readonly onEvent?: (event: ExecutorEvent) => void;
}

/** How urgent tasks are and what bounds them. The tenant, signal and deadline of the running call context count as well. */
export interface TaskOptions {
  /** A whole number from 0, the most urgent, to 9. Default 5. */
  readonly priority?: number;
  /** The share of its tenant, relative to the other tenants that wait with the same priority. Default 1. */
  readonly weight?: number;
  /** How much of that share a task takes. Default 1. */
  readonly cost?: number;
  /** The longest that a task may run, from its start. Default: the executor's. */
  readonly taskTimeout?: Duration;
  /** The longest until it is over, waiting for places included: of one task, or of all together. */
  readonly timeout?: Duration;
  readonly signal?: AbortSignal;
}

/** The same for several tasks. */
export interface GroupOptions extends TaskOptions {
  /** The most of these that wait or run at a time. Default, and at the most: the executor's. */
  readonly maxConcurrent?: number;
}

export interface RunAllOptions<Tasks extends TaskCollection = TaskCollection> extends GroupOptions {
  /** Whether the first failure ends all. Default `'collect'`: it does not. */
  readonly mode?: 'collect' | 'fail-fast';
  /** Told of each outcome as it comes. One that throws is passed over. */
  readonly onProgress?: (progress: RunProgress<Tasks>) => void;
}

export interface IterateOptions extends GroupOptions {
  /** The most items that were taken from the source and whose outcomes were not given out. Default: twice `maxConcurrent`. */
  readonly window?: number;
  /** Whether outcomes come in the order of the source (default) or as they are done. */
  readonly order?: 'source' | 'done';
}

/** What came of trying one way after the other. */
export interface FallbackResult<T> {
  readonly value: T;
  /** The one that it came from. */
  readonly step: string;
  /** Those before it, in their order. */
  readonly failures: readonly FallbackFailure[];
}

export interface FallbackFailure {
  readonly step: string;
  readonly error: unknown;
}

/** One way: with a name and a time of its own, or the task alone, which goes by the name of its function. */
export type FallbackStepOf<T> = ExecutorTask<T> | FallbackTask<T>;

/** The value of any of them. */
export type FallbackValue<Step> = Step extends { readonly run: infer Run } ? ValueOf<Run> : ValueOf<Step>;

/** What an executor has done so far, and what it does now. */
export interface ExecutorStats {
  /** Places that are taken. */
  readonly running: number;
  /** Of these, by tasks whose callers have left or been told that the time is up. */
  readonly lingering: number;
  readonly waiting: number;
  /** Tasks that gave a value. */
  readonly done: number;
  /** Tasks that threw or whose time was up, whether they had begun or not. */
  readonly failed: number;
  /** Tasks that nobody wanted any more, whether they had begun or not. */
  readonly aborted: number;
  /** Tasks that were not accepted, because too many waited or the executor was closed. */
  readonly refused: number;
  /** How long the last 512 tasks that began had waited for their places: the median, to within 2 ms. 0 before the first. */
  readonly waitedMsP50: number;
}

/**
 * Runs tasks side by side within bounds. A task that waits for another task of the same executor keeps its place meanwhile:
 * where all places are taken by such tasks, none of them can end.
 */
export interface Executor {
  readonly name: string;
  /**
   * The value of one task, or what it throws. It begins at once where a place is free, within this very call; else when it is
   * next: by priority, in which what waits rises; then tenants in turn, by weight and cost; then the earliest deadline; then
   * whoever came first. A task does not begin once its signal is aborted or its deadline has passed: then it leaves at that
   * instant. If it is running its caller is told at that instant, but it keeps its place until it has really ended, so that never
   * more than `maxConcurrent` run: tasks should obey their signal. Cost: about 0.4 µs where a place is free, 1.2 µs through the
   * queue, and 3 µs more with a time limit and a signal.
   * @throws (rejects with) what the task throws; the reason of the signal; WarmpathError `WP_DEADLINE`, `WP_OVERLOADED`,
   *   `WP_CLOSED`, `WP_BAD_OPTION`
   */
  run<T>(task: ExecutorTask<T>, options?: TaskOptions): Promise<T>;
  /**
   * Runs all of them and reports what each came to. At the deadline it resolves at once with what is ready, whatever the tasks
   * do; so it does when the caller leaves and, in `'fail-fast'` mode, when one fails. What runs is aborted then, what waits does
   * not begin. No more than `maxConcurrent` of them are in the queue at a time, so a long list does not keep others waiting.
   * @throws (rejects with) WarmpathError `WP_BAD_OPTION`, and for nothing else
   */
  runAll<const Tasks extends TaskCollection>(tasks: Tasks, options?: RunAllOptions<Tasks>): Promise<RunReport<Tasks>>;
  /**
   * Works on each item of a source and gives out what came of it. An item is taken when it can begin or wait for a place, and
   * only while fewer than `window` are held: a consumer that is slow slows the source down. Nothing happens before the
   * first outcome is asked for. Leaving the loop early aborts what runs and calls `return()` of the source, which is waited for
   * unless it is busy with an item. When the source fails, and likewise at the deadline or when the caller leaves, what has
   * been begun is given out first; then the iteration throws the error. So it does when the executor takes no task: the item
   * that it refused is given out as not started, and no other is taken.
   * @throws WarmpathError `WP_BAD_OPTION`. Its iteration: the error of the source; the caller's reason; `WP_DEADLINE`,
   *   `WP_OVERLOADED`, `WP_CLOSED`
   */
  iterate<Item, T>(
    source: Iterable<Item> | AsyncIterable<Item>,
    work: (item: Item, call: TaskCall) => T | PromiseLike<T>,
    options?: IterateOptions,
  ): AsyncIterable<ItemOutcome<Item, T>>;
  /**
   * The first value of several ways, tried one after the other, each in a place of its own and with a time of its own. None
   * begins after the caller has left or the call's deadline has passed, and no other one after a failure when the call's
   * ledger has no attempts left.
   * @throws (rejects with) the caller's reason; `WP_DEADLINE` at the call's deadline; `WP_OVERLOADED` or `WP_CLOSED` where
   *   this executor takes no task; when all have failed, an AggregateError whose errors name the steps in their order, each
   *   with what it threw as its cause
   */
  runWithFallback<const Steps extends readonly [FallbackStepOf<unknown>, ...FallbackStepOf<unknown>[]]>(
    ...steps: Steps
  ): Promise<FallbackResult<FallbackValue<Steps[number]>>>;
  stats(): ExecutorStats;
  /** Resolves when nothing waits or runs, tasks that nobody wants included; at once where that is so. */
  onIdle(): Promise<void>;
  /**
   * Takes no more tasks (`WP_CLOSED`) and lets those that wait or run come to their end, for 5 s at the most: what is not over
   * by then is aborted and its callers rejected. Idempotent.
   */
  close(): Promise<void>;
}
