import { badOption, checkOptions, safeListener } from '../kernel/index.js';
import type { RunAllOptions } from './contract.js';
import { Group, type Groups } from './group.js';
import { callerOf, runAllRules, type Terms, termsOf } from './options.js';
import type { RunEnd, RunReport, TaskCollection, TaskOutcome } from './outcome.js';
import { type AnyName, errorOf, reportOf } from './report.js';
import type { ExecutorTask } from './task.js';

/** `Executor.runAll`. */
export async function runAll(
  groups: Groups,
  usual: Terms,
  tasks: TaskCollection,
  options: RunAllOptions = {},
): Promise<RunReport<TaskCollection>> {
  checkOptions('runAll()', options, runAllRules);
  checkTasks(tasks);
  return new Promise((resolve) => new AllRun(groups, usual, tasks, options, resolve).begin());
}

function checkTasks(tasks: unknown): void {
  // A Map, a Set or a promise has no properties, and would pass for a collection of no tasks.
  const isOther = typeof tasks !== 'object' || tasks === null || Symbol.iterator in tasks || tasks instanceof Promise;
  if (isOther && !Array.isArray(tasks))
    throw badOption('runAll()', 'tasks', 'a list of functions, or an object of functions', tasks);
  // The entries of a list have its holes as well, which its values have not.
  for (const [name, task] of Array.isArray(tasks) ? tasks.entries() : Object.entries(Object(tasks)))
    if (typeof task !== 'function') throw badOption('runAll()', `tasks.${name}`, 'a function', task);
}

/** One run of several tasks, which feeds them to the executor as places become free. */
class AllRun {
  readonly #isList: boolean;
  readonly #names: readonly AnyName[];
  readonly #tasks: readonly ExecutorTask<unknown>[];
  readonly #outcomes = new Map<number, TaskOutcome<unknown>>();
  readonly #isFailFast: boolean;
  readonly #onProgress: RunAllOptions['onProgress'];
  readonly #group: Group;
  readonly #resolve: (report: RunReport<TaskCollection>) => void;
  #next = 0;
  #failed = 0;
  #isFeeding = false;

  constructor(
    groups: Groups,
    usual: Terms,
    tasks: TaskCollection,
    options: RunAllOptions,
    resolve: (report: RunReport<TaskCollection>) => void,
  ) {
    const { mode = 'collect', maxConcurrent = groups.maxConcurrent, onProgress } = options;
    this.#isList = Array.isArray(tasks);
    this.#tasks = Object.values(tasks);
    this.#names = this.#isList ? this.#tasks.map((_, index) => index) : Object.keys(tasks);
    this.#isFailFast = mode === 'fail-fast';
    this.#onProgress = safeListener(onProgress);
    this.#resolve = resolve;
    this.#group = new Group(groups, {
      terms: termsOf(options, usual),
      caller: callerOf(options, groups.clock),
      maxConcurrent: Math.min(maxConcurrent, groups.maxConcurrent),
      onRoom: () => this.#feed(),
      onEnd: (by, reason) => this.#finish(by, reason),
    });
  }

  begin(): void {
    this.#group.watch();
    if (this.#tasks.length > 0) this.#feed();
    else if (!this.#group.isOver) this.#end('done');
  }

  /** A loop rather than a chain: what gives its value at once comes back here from inside of it. */
  #feed(): void {
    if (this.#isFeeding) return;
    this.#isFeeding = true;
    for (
      let task = this.#tasks[this.#next];
      task !== undefined && this.#group.hasRoom;
      task = this.#tasks[this.#next]
    ) {
      const index = this.#next++;
      this.#group.submit(task, (outcome) => this.#note(index, outcome));
    }
    this.#isFeeding = false;
  }

  #note(index: number, outcome: TaskOutcome<unknown>): void {
    this.#record(index, outcome);
    if (this.#group.isOver) return;
    const isFailure = outcome.status !== 'fulfilled';
    if (outcome.status === 'not-started' && this.#group.isLate) this.#group.expire();
    else if (isFailure && this.#isFailFast) this.#fail(index, errorOf(outcome));
    else if (this.#outcomes.size === this.#tasks.length) this.#end('done');
  }

  #record(index: number, outcome: TaskOutcome<unknown>): void {
    this.#outcomes.set(index, outcome);
    if (outcome.status !== 'fulfilled') this.#failed++;
    this.#onProgress?.({
      done: this.#outcomes.size,
      failed: this.#failed,
      total: this.#tasks.length,
      task: this.#names[index] ?? index,
      outcome,
    });
  }

  #fail(index: number, error: unknown): void {
    const message = `Task ${this.#names[index]} has no value, so the others are not wanted any more.`;
    const reason = new DOMException(message, { name: 'AbortError', cause: error });
    this.#group.end('aborted', reason);
    this.#finish('failure', reason, error);
  }

  /** What was not begun never is. @param cause what `values()` throws */
  #finish(endedBy: RunEnd, reason: Error, cause: unknown = reason): void {
    // Whoever is told of the last value may leave then; and where nothing was asked for, nothing is missing.
    if (this.#failed === 0 && this.#outcomes.size === this.#tasks.length) {
      this.#end('done');
      return;
    }
    for (const index of this.#tasks.keys())
      if (!this.#outcomes.has(index)) this.#record(index, { status: 'not-started', reason });
    this.#end(endedBy, endedBy === 'timeout' && !this.#isFailFast ? undefined : cause);
  }

  #end(endedBy: RunEnd, cause?: unknown): void {
    this.#group.close();
    const outcomes = this.#names.flatMap((_, index) => this.#outcomes.get(index) ?? []);
    this.#resolve(reportOf(this.#names, outcomes, this.#isList, endedBy, cause));
  }
}
