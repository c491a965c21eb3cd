import { Job, Waiter } from '../src/executor/job.js';
import { dueBy, PriorityClasses } from '../src/kernel/index.js';

export const maxConcurrent: number = 3;
export const maxWaiting: number = 6;
export const agingMs: number = 40;

export interface Shape {
  readonly priority: number;
  readonly tenant: string;
  readonly weight: number;
  readonly cost: number;
  readonly timeoutMs: number;
  readonly taskTimeoutMs: number;
  readonly abortable: number | undefined;
  /** Its signal is that of the call context. */
  readonly isAmbient: boolean;
  /** Ends when its signal is aborted. */
  readonly obeys: boolean;
}

export type Outcome = 'done' | 'failed' | 'late' | 'aborted' | 'refused';

/** What the documentation says of one task. */
interface Entry extends Shape {
  readonly sequence: number;
  readonly enteredAt: number;
  readonly deadline: number;
  endsAt: number;
  hasPlace: boolean;
  outcome: Outcome | undefined;
}

/** Who is next of those that wait. */
export interface Order {
  add(entry: Entry, now: number): void;
  next(now: number): Entry | undefined;
  leave(entry: Entry, now: number, isServed: boolean): void;
}

/** Of one tenant: everything is found by looking at all. */
export class SortedList implements Order {
  #waiting: Entry[] = [];

  add(entry: Entry): void {
    this.#waiting.push(entry);
  }

  next(now: number): Entry | undefined {
    const classOf = ({ priority, enteredAt }: Entry): number =>
      Math.max(0, priority - Math.floor((now - enteredAt) / agingMs));
    const dueOf = ({ deadline, enteredAt }: Entry): number => dueBy(deadline, enteredAt, agingMs);
    return this.#waiting.toSorted(
      (a, b) => classOf(a) - classOf(b) || dueOf(a) - dueOf(b) || a.sequence - b.sequence,
    )[0];
  }

  leave(entry: Entry): void {
    this.#waiting = this.#waiting.filter((other) => other !== entry);
  }
}

/** Of several tenants: the kernel's order, which has a model of its own. */
export class FairOrder implements Order {
  readonly #classes = new PriorityClasses<Waiter>(agingMs);
  readonly #waiters = new Map<Entry, Waiter>();
  readonly #entries = new Map<Waiter, Entry>();

  add(entry: Entry, now: number): void {
    const { priority, weight, cost, tenant, deadline } = entry;
    const caller = { tenant, deadline, askedAt: now, signal: undefined, outerSignal: undefined };
    const terms = { priority, weight, cost, taskTimeoutMs: Number.POSITIVE_INFINITY };
    const job = new Job(
      () => {},
      terms,
      caller,
      false,
      () => {},
      () => {},
    );
    const waiter = new Waiter(job, entry.sequence, now, agingMs);
    this.#waiters.set(entry, waiter);
    this.#entries.set(waiter, entry);
    this.#classes.add(waiter, now);
  }

  next(now: number): Entry | undefined {
    const waiter = this.#classes.next(now);
    return waiter && this.#entries.get(waiter);
  }

  leave(entry: Entry, now: number, isServed: boolean): void {
    const waiter = this.#waiters.get(entry);
    if (waiter === undefined) return;
    this.#waiters.delete(entry);
    if (isServed) this.#classes.serve(waiter, now);
    else this.#classes.remove(waiter, now);
  }
}

export class Model {
  readonly entries: Entry[] = [];
  /** By sequence, in the order in which they began. */
  readonly started: number[] = [];
  readonly #order: Order;
  #waiting: Entry[] = [];

  constructor(order: Order) {
    this.#order = order;
  }

  get placed(): Entry[] {
    return this.entries.filter(({ hasPlace }) => hasPlace);
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  add(shape: Shape, deadline: number, now: number): void {
    const sequence = this.entries.length;
    const entry: Entry = {
      ...shape,
      sequence,
      enteredAt: now,
      deadline,
      endsAt: deadline,
      hasPlace: false,
      outcome: undefined,
    };
    this.entries.push(entry);
    if (deadline <= now) entry.outcome = 'late';
    else if (this.placed.length < maxConcurrent) this.#start(entry, now);
    else if (this.waiting >= maxWaiting) entry.outcome = 'refused';
    else {
      this.#waiting.push(entry);
      this.#order.add(entry, now);
    }
  }

  end(entry: Entry, outcome: 'done' | 'failed', now: number): void {
    entry.hasPlace = false;
    entry.outcome ??= outcome;
    this.#fill(now);
  }

  abort(abortable: number, now: number): void {
    for (const entry of this.entries)
      if (entry.abortable === abortable && entry.outcome === undefined) this.#giveUp(entry, 'aborted', now);
    this.#fill(now);
  }

  /** In the order of the instants, since a place may become free at each. */
  advanceTo(now: number): void {
    for (;;) {
      const late = this.entries.filter(({ outcome, endsAt }) => outcome === undefined && endsAt <= now);
      const [first] = late.toSorted((a, b) => a.endsAt - b.endsAt);
      if (first === undefined) return;
      this.#giveUp(first, 'late', first.endsAt);
      this.#fill(first.endsAt);
    }
  }

  #giveUp(entry: Entry, outcome: Outcome, now: number): void {
    entry.outcome = outcome;
    if (this.#waiting.includes(entry)) this.#leave(entry, now, false);
    else if (entry.obeys) entry.hasPlace = false;
  }

  #fill(now: number): void {
    while (this.placed.length < maxConcurrent) {
      const next = this.#order.next(now);
      if (next === undefined) return;
      this.#leave(next, now, true);
      this.#start(next, now);
    }
  }

  #leave(entry: Entry, now: number, isServed: boolean): void {
    this.#waiting = this.#waiting.filter((other) => other !== entry);
    this.#order.leave(entry, now, isServed);
  }

  #start(entry: Entry, now: number): void {
    entry.hasPlace = true;
    entry.endsAt = Math.min(entry.deadline, now + entry.taskTimeoutMs);
    this.started.push(entry.sequence);
  }
}
