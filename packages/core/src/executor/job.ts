import type { AsyncResource } from 'node:async_hooks';
import { type Due, dueBy, type Queued, runInContext } from '../kernel/index.js';
import type { ExecutorEvent } from './events.js';
import type { Caller, Terms } from './options.js';
import type { ExecutorTask, TaskCall } from './task.js';

export type JobEnd = Extract<ExecutorEvent, { type: 'task.done' }>['outcome'];

/** Shared by all that are in no heap. */
const nowhere: number[] = [];

/** One task on its way, and whoever is told of its end. */
export class Job implements Due {
  readonly task: ExecutorTask<unknown>;
  readonly terms: Terms;
  readonly caller: Caller;
  /** One of several tasks whose signal and deadline are watched for all of them at once. */
  readonly isMember: boolean;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** The context that it runs in. Undefined: the one in which it is started. */
  resource: AsyncResource | undefined;
  /** Its entry in the queue, while it waits. */
  waiter: Waiter | undefined;
  hasStarted = false;
  /** Told when a task that has started has really ended. */
  onFree: (() => void) | undefined;
  /** Set when its caller is told. The task may run on after that. */
  end: JobEnd | undefined;
  /** Why it was given up or refused. */
  reason: Error | undefined;
  /** Undefined where nobody asks how long it runs. */
  startedAt: number | undefined;
  waitedMs = 0;
  /** How long it ran, until its end. */
  ms = 0;
  endsAt: number;
  readonly places: number[];
  /** It has a signal or a deadline that its call context does not have. */
  readonly #isOwn: boolean;
  #controller: AbortController | undefined;

  constructor(
    task: ExecutorTask<unknown>,
    terms: Terms,
    caller: Caller,
    isMember: boolean,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    const isTimed = caller.deadline < Number.POSITIVE_INFINITY || terms.taskTimeoutMs < Number.POSITIVE_INFINITY;
    this.task = task;
    this.terms = terms;
    this.caller = caller;
    this.isMember = isMember;
    this.resolve = resolve;
    this.reject = reject;
    this.endsAt = isMember ? Number.POSITIVE_INFINITY : caller.deadline;
    this.places = isTimed ? [-1, -1, -1] : nowhere;
    this.#isOwn = isTimed || isMember || caller.signal !== undefined;
  }

  /** Aborted when the job is given up. Nobody pays for one that is not looked at. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.reason !== undefined) this.#controller.abort(this.reason);
    }
    return this.#controller.signal;
  }

  begin(): unknown {
    return this.resource === undefined ? this.#call() : this.resource.runInAsyncScope(this.#call, this);
  }

  abort(): void {
    this.#controller?.abort(this.reason);
  }

  #call(): unknown {
    const call = new LazyCall(this);
    if (!this.#isOwn) return this.task(call);
    const deadline = Math.min(this.endsAt, this.caller.deadline);
    const context = { signal: this.signal, ...(deadline < Number.POSITIVE_INFINITY && { deadline }) };
    return runInContext(context, () => this.task(call));
  }
}

/** What the task is given, so that it sees nothing else of its job. */
class LazyCall implements TaskCall {
  readonly #job: Job;

  constructor(job: Job) {
    this.#job = job;
  }

  get signal(): AbortSignal {
    return this.#job.signal;
  }
}

const noAmounts: readonly number[] = [];

/** A job in its place in the queue. */
export class Waiter implements Queued {
  readonly job: Job;
  readonly tenant: string;
  readonly amounts: readonly number[] = noAmounts;
  readonly cost: number;
  readonly weight: number;
  readonly due: number;
  readonly sequence: number;
  readonly enteredAt: number;
  readonly places: number[] = [-1, -1, -1];
  priority: number;
  riseAt: number = Number.POSITIVE_INFINITY;

  constructor(job: Job, sequence: number, now: number, agingMs: number) {
    const { terms, caller } = job;
    this.job = job;
    this.tenant = caller.tenant;
    this.cost = terms.cost;
    this.weight = terms.weight;
    this.priority = terms.priority;
    this.due = dueBy(caller.deadline, now, agingMs);
    this.sequence = sequence;
    this.enteredAt = now;
  }
}
