import { badOption, checkOptions, durationMs, safeListener, systemClock } from '../kernel/index.js';
import type {
  Executor,
  ExecutorOptions,
  ExecutorStats,
  FallbackResult,
  FallbackStepOf,
  FallbackValue,
  IterateOptions,
  RunAllOptions,
  TaskOptions,
} from './contract.js';
import { runWithFallback } from './fallback.js';
import { Groups } from './group.js';
import { iterate } from './iterate.js';
import { Job } from './job.js';
import { callerOf, executorRules, type Terms, taskRules, termsOf } from './options.js';
import type { ItemOutcome, RunReport, TaskCollection } from './outcome.js';
import { runAll } from './run-all.js';
import { Scheduler } from './scheduler.js';
import type { ExecutorTask, TaskCall } from './task.js';

/**
 * Runs tasks side by side, never more than `maxConcurrent` at a time, and has the others wait in a fair order.
 * @throws WarmpathError `WP_BAD_OPTION`
 */
export function createExecutor(options: ExecutorOptions = {}): Executor {
  checkOptions('createExecutor()', options, executorRules);
  const { name = 'executor', maxConcurrent = 8, maxWaiting = 100_000, taskTimeout, aging = '10s' } = options;
  const { clock = systemClock, onEvent } = options;
  const agingMs = durationMs(aging) || Number.POSITIVE_INFINITY;
  const scheduler = new Scheduler({ name, maxConcurrent, maxWaiting, agingMs, clock, report: safeListener(onEvent) });
  const groups = new Groups(name, maxConcurrent, clock, scheduler);
  const taskTimeoutMs = taskTimeout === undefined ? Number.POSITIVE_INFINITY : durationMs(taskTimeout);
  return new PlacedExecutor(groups, { priority: 5, weight: 1, cost: 1, taskTimeoutMs });
}

/** What is asked for becomes jobs and groups here; when they run is the scheduler's business. */
class PlacedExecutor implements Executor {
  readonly name: string;
  readonly #groups: Groups;
  readonly #scheduler: Scheduler;
  /** For tasks without options of their own. */
  readonly #usual: Terms;

  constructor(groups: Groups, usual: Terms) {
    this.name = groups.name;
    this.#groups = groups;
    this.#scheduler = groups.scheduler;
    this.#usual = usual;
  }

  run<T>(task: ExecutorTask<T>, options?: TaskOptions): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (typeof task !== 'function') throw badOption('run()', 'task', 'a function', task);
      if (options !== undefined) checkOptions('run()', options, taskRules);
      const terms = termsOf(options, this.#usual);
      const caller = callerOf(options, this.#groups.clock);
      const settle = resolve as (value: unknown) => void; // what it is called with is the value of this task
      this.#scheduler.submit(new Job(task, terms, caller, false, settle, reject));
    });
  }

  async runAll<const Tasks extends TaskCollection>(
    tasks: Tasks,
    options?: RunAllOptions<Tasks>,
  ): Promise<RunReport<Tasks>> {
    return (await runAll(this.#groups, this.#usual, tasks, options as RunAllOptions)) as RunReport<Tasks>;
  }

  iterate<Item, T>(
    source: Iterable<Item> | AsyncIterable<Item>,
    work: (item: Item, call: TaskCall) => T | PromiseLike<T>,
    options?: IterateOptions,
  ): AsyncIterable<ItemOutcome<Item, T>> {
    return iterate(this.#groups, this.#usual, source, work, options);
  }

  async runWithFallback<const Steps extends readonly [FallbackStepOf<unknown>, ...FallbackStepOf<unknown>[]]>(
    ...steps: Steps
  ): Promise<FallbackResult<FallbackValue<Steps[number]>>> {
    const result = await runWithFallback(this.#groups, this.#usual, steps);
    return result as FallbackResult<FallbackValue<Steps[number]>>;
  }

  stats(): ExecutorStats {
    return this.#scheduler.stats;
  }

  onIdle(): Promise<void> {
    return this.#scheduler.onIdle();
  }

  close(): Promise<void> {
    return this.#scheduler.close();
  }
}
