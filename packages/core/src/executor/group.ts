import { AsyncResource } from 'node:async_hooks';
import { AbortWatch, abortReason, type Clock, Deadlines, type Due } from '../kernel/index.js';
import { Job } from './job.js';
import type { Caller, Terms } from './options.js';
import type { TaskOutcome } from './outcome.js';
import { lateError } from './refusals.js';
import type { Scheduler } from './scheduler.js';
import type { ExecutorTask } from './task.js';

export interface GroupPlan {
  readonly terms: Terms;
  readonly caller: Caller;
  readonly maxConcurrent: number;
  /** Told when there may be room for another task. */
  readonly onRoom: () => void;
  /** Told when the caller leaves or the deadline strikes, once the group has been ended by that. */
  readonly onEnd: (by: 'abort' | 'timeout', reason: Error) => void;
}

/** What the groups of an executor share: whoever waits for a group is watched once, however many tasks it has. */
export class Groups {
  readonly name: string;
  /** The most tasks of a group that wait and run at a time. */
  readonly maxConcurrent: number;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly deadlines: Deadlines<Group>;
  readonly aborts: AbortWatch<Group> = new AbortWatch((groups, signal) => {
    for (const group of groups) group.leave(abortReason(signal));
  });

  constructor(name: string, maxConcurrent: number, clock: Clock, scheduler: Scheduler) {
    this.name = name;
    this.maxConcurrent = maxConcurrent;
    this.clock = clock;
    this.scheduler = scheduler;
    this.deadlines = new Deadlines(clock, (group) => group.expire());
  }
}

/** Tasks that are asked for together, in the context in which the group was made. */
export class Group implements Due {
  readonly endsAt: number;
  readonly places: number[] = [-1, -1, -1];
  readonly #groups: Groups;
  readonly #plan: GroupPlan;
  readonly #resource = new AsyncResource('WarmpathTasks', { requireManualDestroy: true });
  /** Whose tasks they are: it is the group that watches the signals. */
  readonly #member: Caller;
  readonly #jobs = new Set<Job>();
  /** Tasks that wait or run. */
  #placed = 0;
  #isOver = false;

  constructor(groups: Groups, plan: GroupPlan) {
    this.#groups = groups;
    this.#plan = plan;
    this.#member = { ...plan.caller, signal: undefined, outerSignal: undefined };
    this.endsAt = plan.caller.deadline;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Another task may begin or wait for a place. One that runs on after its caller was told counts until it has ended. */
  get hasRoom(): boolean {
    return !this.#isOver && this.#placed < this.#plan.maxConcurrent;
  }

  /** Begins to watch whoever waits: it may be over at once. */
  watch(): void {
    const { signal, outerSignal } = this.#plan.caller;
    if (signal?.aborted) this.leave(abortReason(signal));
    else if (outerSignal?.aborted) this.leave(abortReason(outerSignal));
    else if (this.isLate) this.expire();
    if (this.#isOver) return;
    if (signal !== undefined) this.#groups.aborts.join(signal, this);
    if (outerSignal !== undefined) this.#groups.aborts.join(outerSignal, this);
    if (this.endsAt < Number.POSITIVE_INFINITY) this.#groups.deadlines.add(this);
  }

  /** The deadline has passed, though its timer may not have rung. */
  get isLate(): boolean {
    return this.endsAt < Number.POSITIVE_INFINITY && this.endsAt <= this.#groups.clock.now();
  }

  within<T>(run: () => T): T {
    return this.#resource.runInAsyncScope(run);
  }

  /** @param done is called exactly once, maybe before this returns */
  submit<T>(task: ExecutorTask<T>, done: (outcome: TaskOutcome<T>) => void): void {
    const over = (outcome: TaskOutcome<T>): void => {
      this.#jobs.delete(job);
      done(outcome);
      if (!job.hasStarted) this.#free();
    };
    const job = new Job(
      task,
      this.#plan.terms,
      this.#member,
      true,
      (value) => over({ status: 'fulfilled', value: value as T, ms: job.ms }),
      (error) => over(unhappyOutcome(job, error)),
    );
    job.resource = this.#resource;
    job.onFree = () => this.#free();
    this.#placed++;
    this.#jobs.add(job);
    this.#groups.scheduler.submit(job);
  }

  leave(reason: Error): void {
    this.#endBy('abort', reason);
  }

  expire(): void {
    this.#endBy('timeout', lateError(this.#groups.name, this.#plan.caller));
  }

  /** Takes no more tasks and gives up those that are not over. Nothing where it is over. */
  end(why: 'aborted' | 'timed-out', reason: Error): void {
    if (this.#isOver) return;
    this.close();
    for (const job of [...this.#jobs]) this.#groups.scheduler.giveUp(job, why, reason);
  }

  /** Takes no more tasks, and watches nobody any more. Idempotent. */
  close(): void {
    const { signal, outerSignal } = this.#plan.caller;
    this.#isOver = true;
    if (signal !== undefined) this.#groups.aborts.leave(signal, this);
    if (outerSignal !== undefined) this.#groups.aborts.leave(outerSignal, this);
    this.#groups.deadlines.remove(this);
  }

  #free(): void {
    this.#placed--;
    this.#plan.onRoom();
  }

  #endBy(by: 'abort' | 'timeout', reason: Error): void {
    if (this.#isOver) return;
    this.end(by === 'abort' ? 'aborted' : 'timed-out', reason);
    this.#plan.onEnd(by, reason);
  }
}

function unhappyOutcome({ end, ms, reason }: Job, error: unknown): TaskOutcome<never> {
  if (reason === undefined) return { status: 'rejected', error, ms };
  if (end === 'timed-out') return { status: 'timed-out', error: reason, ms };
  return end === 'aborted' ? { status: 'aborted', reason, ms } : { status: 'not-started', reason };
}
