import { AsyncResource } from 'node:async_hooks';
import {
  AbortWatch,
  abortReason,
  type Clock,
  coarseNow,
  Deadlines,
  deadlineError,
  PriorityClasses,
  type Timer,
} from '../kernel/index.js';
import type { ExecutorStats } from './contract.js';
import type { ExecutorEvent } from './events.js';
import { type Job, type JobEnd, Waiter } from './job.js';
import { RecentWaits } from './recent-waits.js';
import { closedError, overloadedError } from './refusals.js';

export interface SchedulerOptions {
  readonly name: string;
  readonly maxConcurrent: number;
  readonly maxWaiting: number;
  /** Infinity: nothing rises. */
  readonly agingMs: number;
  readonly clock: Clock;
  readonly report: ((event: ExecutorEvent) => void) | undefined;
}

/** How long `close()` waits. */
const closeGraceMs = 5_000;

/**
 * The places, and the queue before them. Something waits only while all places are taken, so whatever comes while nothing waits
 * and a place is free begins at once, past the queue. The caller of each job is told exactly once; its place is free
 * when the task has really ended.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #order: PriorityClasses<Waiter>;
  readonly #deadlines: Deadlines<Job>;
  readonly #aborts: AbortWatch<Job>;
  readonly #running = new Set<Job>();
  readonly #waits = new RecentWaits();
  readonly #idle: (() => void)[] = [];
  /** For places in the queue: by up to 2 ms late, but for events, that say how long something has waited. */
  readonly #now: () => number;
  #sequence = 0;
  #isPumping = false;
  #closing: Promise<void> | undefined;
  #lingering = 0;
  #done = 0;
  #failed = 0;
  #aborted = 0;
  #refused = 0;

  constructor(options: SchedulerOptions) {
    const { agingMs, clock, report } = options;
    this.#options = options;
    this.#now = report ? () => clock.now() : coarseNow(clock);
    this.#order = new PriorityClasses(agingMs);
    this.#deadlines = new Deadlines(clock, (job) => this.#expire(job));
    this.#aborts = new AbortWatch((jobs, signal) => {
      for (const job of jobs) this.giveUp(job, 'aborted', abortReason(signal));
    });
  }

  get stats(): ExecutorStats {
    return {
      running: this.#running.size,
      lingering: this.#lingering,
      waiting: this.#order.size,
      done: this.#done,
      failed: this.#failed,
      aborted: this.#aborted,
      refused: this.#refused,
      waitedMsP50: this.#waits.medianMs,
    };
  }

  /** Starts the job or has it wait; or tells its caller why not. */
  submit(job: Job): void {
    const { maxConcurrent, maxWaiting } = this.#options;
    const isFree = this.#running.size < maxConcurrent && this.#order.size === 0;
    if (this.#closing !== undefined) this.#refuse(job, 'closed');
    else if (this.#isTooLate(job)) return;
    else if (isFree) this.#accept(job);
    else if (this.#order.size < maxWaiting) this.#queue(job);
    else this.#refuse(job, 'overloaded');
  }

  /** Tells the caller of a job that is not over, and frees its place in the queue. A task that runs is told by its signal. */
  giveUp(job: Job, why: 'aborted' | 'timed-out', reason: Error): void {
    if (job.end !== undefined) return;
    if (job.waiter !== undefined) {
      this.#order.remove(job.waiter, this.#now());
      job.waitedMs = this.#now() - job.waiter.enteredAt;
      job.waiter = undefined;
    }
    if (job.hasStarted) this.#lingering++;
    if (why === 'aborted') this.#aborted++;
    else this.#failed++;
    job.reason = reason;
    this.#conclude(job, job.hasStarted ? why : 'not-started', reason);
    job.reject(reason);
    job.abort();
  }

  onIdle(): Promise<void> {
    return this.#isIdle ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  get #isIdle(): boolean {
    return this.#running.size === 0 && this.#order.size === 0;
  }

  #close(): Promise<void> {
    if (this.#isIdle) return Promise.resolve();
    return new Promise((resolve) => {
      const timer: Timer = this.#options.clock.schedule(closeGraceMs, () => {
        this.#giveUpAll();
        resolve();
      });
      this.#idle.push(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  #giveUpAll(): void {
    const reason = closedError(this.#options.name);
    for (let next = this.#order.next(this.#now()); next !== undefined; next = this.#order.next(this.#now()))
      this.giveUp(next.job, 'aborted', reason);
    for (const job of [...this.#running]) this.giveUp(job, 'aborted', reason);
  }

  #accept(job: Job): void {
    this.#watch(job);
    this.#waits.note(0);
    this.#start(job);
  }

  #watch(job: Job): void {
    const { signal, outerSignal } = job.caller;
    if (signal !== undefined) this.#aborts.join(signal, job);
    if (outerSignal !== undefined) this.#aborts.join(outerSignal, job);
  }

  #queue(job: Job): void {
    this.#watch(job);
    const now = this.#now();
    job.resource ??= new AsyncResource('WarmpathTask', { requireManualDestroy: true });
    job.waiter = new Waiter(job, this.#sequence++, now, this.#options.agingMs);
    this.#order.add(job.waiter, now);
    if (job.endsAt < Number.POSITIVE_INFINITY) this.#deadlines.add(job);
  }

  /** Starts who is next, one after the other, while places are free. What is called from here finds it at work. */
  #pump(): void {
    if (this.#isPumping || this.#order.size === 0) return;
    this.#isPumping = true;
    try {
      while (this.#running.size < this.#options.maxConcurrent) {
        const now = this.#now();
        const waiter = this.#order.next(now);
        if (waiter === undefined) break;
        this.#serve(waiter, now);
      }
    } finally {
      this.#isPumping = false;
    }
  }

  #serve(waiter: Waiter, now: number): void {
    const { job } = waiter;
    if (this.#isTooLate(job)) return; // the timer of its deadline may be late
    this.#order.serve(waiter, now);
    job.waiter = undefined;
    job.waitedMs = now - waiter.enteredAt;
    this.#waits.note(job.waitedMs);
    this.#start(job);
  }

  /** Nothing begins after its signal was aborted or its deadline has passed: gives up what would. */
  #isTooLate(job: Job): boolean {
    const { signal, outerSignal, deadline } = job.caller;
    if (signal?.aborted) this.giveUp(job, 'aborted', abortReason(signal));
    else if (outerSignal?.aborted) this.giveUp(job, 'aborted', abortReason(outerSignal));
    else if (deadline < Number.POSITIVE_INFINITY && deadline <= this.#options.clock.now()) this.#expire(job);
    return job.end !== undefined;
  }

  #start(job: Job): void {
    this.#running.add(job);
    job.hasStarted = true;
    this.#time(job);
    let result: unknown;
    let isPending: boolean;
    try {
      result = job.begin();
      isPending = isThenable(result); // a getter may throw as well
    } catch (error) {
      this.#fail(job, error);
      return;
    }
    if (isPending) void this.#follow(job, result);
    else this.#succeed(job, result);
  }

  #time(job: Job): void {
    const { clock, report } = this.#options;
    const isTimed = job.terms.taskTimeoutMs < Number.POSITIVE_INFINITY;
    if (isTimed || report !== undefined || job.isMember) job.startedAt = clock.now();
    if (isTimed) job.endsAt = Math.min(job.endsAt, (job.startedAt ?? 0) + job.terms.taskTimeoutMs);
    if (job.endsAt === Number.POSITIVE_INFINITY) return;
    if (!this.#deadlines.has(job)) this.#deadlines.add(job);
    else if (isTimed) this.#deadlines.update(job);
  }

  async #follow(job: Job, result: unknown): Promise<void> {
    let value: unknown;
    try {
      value = await result;
    } catch (error) {
      this.#fail(job, error);
      return;
    }
    this.#succeed(job, value);
  }

  #succeed(job: Job, value: unknown): void {
    if (job.end === undefined) {
      this.#done++;
      this.#conclude(job, 'fulfilled');
      job.resolve(value);
    } else this.#lingering--;
    this.#free(job);
  }

  #fail(job: Job, error: unknown): void {
    if (job.end === undefined) {
      this.#failed++;
      this.#conclude(job, 'rejected', error);
      job.reject(error);
    } else this.#lingering--;
    this.#free(job);
  }

  #free(job: Job): void {
    this.#running.delete(job);
    job.onFree?.();
    this.#pump();
    if (this.#idle.length > 0 && this.#isIdle) for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** The last that is seen of a job: it is watched no more. */
  #conclude(job: Job, end: JobEnd, error?: unknown): void {
    const { clock, name, report } = this.#options;
    const { signal, outerSignal } = job.caller;
    job.end = end;
    if (signal !== undefined) this.#aborts.leave(signal, job);
    if (outerSignal !== undefined) this.#aborts.leave(outerSignal, job);
    if (job.endsAt < Number.POSITIVE_INFINITY) this.#deadlines.remove(job);
    if (job.startedAt !== undefined) job.ms = clock.now() - job.startedAt;
    if (report === undefined) return;
    const { ms, waitedMs } = job;
    const event = { type: 'task.done', executor: name, outcome: end, ms, waitedMs } as const;
    report(end === 'fulfilled' ? event : { ...event, error });
  }

  #expire(job: Job): void {
    const { name } = this.#options;
    const { deadline, askedAt } = job.caller;
    const sinceMs = job.hasStarted && job.endsAt < deadline ? job.terms.taskTimeoutMs : Math.max(0, deadline - askedAt);
    const what = `A task of executor '${name}'${job.hasStarted ? '' : ', for which no place has become free,'}`;
    this.giveUp(job, 'timed-out', deadlineError(what, sinceMs));
  }

  #refuse(job: Job, why: 'overloaded' | 'closed'): void {
    const { name, maxWaiting, report } = this.#options;
    this.#refused++;
    job.end = 'not-started';
    const running = this.#running.size;
    report?.({ type: 'task.refused', executor: name, reason: why, running, waiting: this.#order.size });
    job.reason = why === 'closed' ? closedError(name) : overloadedError(name, running, maxWaiting);
    job.reject(job.reason);
  }
}

function isThenable(value: unknown): boolean {
  if (value instanceof Promise) return true;
  const mayBe = typeof value === 'function' || (typeof value === 'object' && value !== null);
  return mayBe && 'then' in value && typeof value.then === 'function';
}
