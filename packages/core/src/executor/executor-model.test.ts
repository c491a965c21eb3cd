import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  agingMs,
  FairOrder,
  Model,
  maxConcurrent,
  maxWaiting,
  type Order,
  type Outcome,
  type Shape,
  SortedList,
} from '../../test/executor-model.js';
import { isWarmpathError, runInContext } from '../kernel/index.js';
import { createFakeClock, type FakeClock } from '../testing/index.js';
import { createExecutor, type Executor, type ExecutorEvent, type ExecutorTask } from './index.js';

/** The executor and the model, told the same. */
class Trial {
  readonly clock: FakeClock = createFakeClock();
  readonly model: Model;
  readonly executor: Executor;
  readonly started: number[] = [];
  readonly outcomes = new Map<number, Outcome>();
  readonly events: ExecutorEvent[] = [];
  readonly #running = new Map<number, PromiseWithResolvers<number>>();
  readonly #controllers = new Map<number, AbortController>();
  readonly #signals: AbortSignal[] = [];

  constructor(order: Order) {
    this.model = new Model(order);
    const onEvent = (event: ExecutorEvent): unknown => this.events.push(event);
    this.executor = createExecutor({ maxConcurrent, maxWaiting, aging: agingMs, clock: this.clock, onEvent });
  }

  add(shape: Shape): void {
    const now = this.clock.now();
    const sequence = this.model.entries.length;
    // Fractions of their own: so nothing is due at the instant of something else.
    const fraction = (sequence + 1) / 4_096;
    const timeoutMs = shape.timeoutMs + fraction;
    const taskTimeoutMs = shape.taskTimeoutMs + fraction / 4_096;
    const signal = shape.abortable === undefined ? undefined : this.#signalOf(shape.abortable);
    this.model.add({ ...shape, taskTimeoutMs }, now + timeoutMs, now);
    const { priority, weight, cost, tenant } = shape;
    const given = {
      ...(signal && !shape.isAmbient && { signal }),
      ...(timeoutMs < Number.POSITIVE_INFINITY && { timeout: timeoutMs }),
      ...(taskTimeoutMs < Number.POSITIVE_INFINITY && { taskTimeout: taskTimeoutMs }),
    };
    const task = this.#task(sequence, shape.obeys);
    const run = runInContext({ tenant, signal: shape.isAmbient ? signal : undefined }, () =>
      this.executor.run(task, { priority, weight, cost, ...given }),
    );
    run.then(
      (value) => this.#told(sequence, value === sequence ? 'done' : 'refused'),
      (error) => this.#told(sequence, outcomeOf(error)),
    );
  }

  end(which: number, outcome: 'done' | 'failed'): void {
    const { placed } = this.model;
    const entry = placed[which % placed.length];
    if (entry === undefined) return;
    const running = this.#running.get(entry.sequence);
    if (outcome === 'done') running?.resolve(entry.sequence);
    else running?.reject(new Error('failed'));
    this.model.end(entry, outcome, this.clock.now());
  }

  abort(abortable: number): void {
    const controller = this.#controllers.get(abortable);
    if (controller === undefined) return;
    this.#controllers.delete(abortable);
    controller.abort(new Error('aborted'));
    this.model.abort(abortable, this.clock.now());
  }

  async advance(ms: number): Promise<void> {
    await this.clock.advance(ms);
    this.model.advanceTo(this.clock.now());
  }

  async check(): Promise<void> {
    await this.clock.settle();
    expect(this.started).toEqual(this.model.started);
    const over = this.model.entries.filter(({ outcome }) => outcome !== undefined);
    expect(Object.fromEntries(this.outcomes)).toEqual(
      Object.fromEntries(over.map(({ sequence, outcome }) => [sequence, outcome])),
    );
    expect(this.clock.pending).toBeLessThanOrEqual(1);
    expect(this.events.length).toBe(over.length);
    const count = (...wanted: readonly Outcome[]): number =>
      over.filter(({ outcome }) => wanted.some((each) => each === outcome)).length;
    expect(this.executor.stats()).toEqual({
      running: this.model.placed.length,
      lingering: this.model.placed.filter(({ outcome }) => outcome !== undefined).length,
      waiting: this.model.waiting,
      done: count('done'),
      failed: count('failed', 'late'),
      aborted: count('aborted'),
      refused: count('refused'),
      waitedMsP50: expect.any(Number),
    });
  }

  async finish(): Promise<void> {
    while (this.model.placed.length > 0) {
      this.end(0, 'done');
      await this.check();
    }
    const { running, waiting, lingering, done, failed, aborted, refused } = this.executor.stats();
    expect([running, waiting, lingering]).toEqual([0, 0, 0]);
    expect(done + failed + aborted + refused).toBe(this.model.entries.length);
    expect(this.clock.pending).toBe(0);
    for (const signal of this.#signals) expect(getEventListeners(signal, 'abort')).toEqual([]);
  }

  #task(sequence: number, obeys: boolean): ExecutorTask<number> {
    return ({ signal }) => {
      this.started.push(sequence);
      expect(signal.aborted).toBe(false);
      const running = Promise.withResolvers<number>();
      this.#running.set(sequence, running);
      if (obeys) signal.addEventListener('abort', () => running.reject(new Error('obeyed')));
      return running.promise;
    };
  }

  #told(sequence: number, outcome: Outcome): void {
    expect(this.outcomes.has(sequence)).toBe(false);
    this.outcomes.set(sequence, outcome);
  }

  #signalOf(abortable: number): AbortSignal {
    const controller = this.#controllers.get(abortable) ?? new AbortController();
    this.#controllers.set(abortable, controller);
    this.#signals.push(controller.signal);
    return controller.signal;
  }
}

function outcomeOf(error: unknown): Outcome {
  if (isWarmpathError(error, 'WP_DEADLINE')) return 'late';
  if (isWarmpathError(error, 'WP_OVERLOADED')) return 'refused';
  return error instanceof Error && error.message === 'aborted' ? 'aborted' : 'failed';
}

type Command =
  | { readonly do: 'add'; readonly shape: Shape }
  | { readonly do: 'end'; readonly which: number; readonly outcome: 'done' | 'failed' }
  | { readonly do: 'abort'; readonly abortable: number }
  | { readonly do: 'advance'; readonly ms: number };

const abortable = fc.nat(2);

function commands(tenants: readonly string[]): fc.Arbitrary<Command[]> {
  const shape = fc.record({
    priority: fc.nat(9),
    tenant: fc.constantFrom(...tenants),
    weight: fc.constantFrom(1, 1, 3, 0.5),
    cost: fc.constantFrom(1, 1, 5),
    timeoutMs: fc.constantFrom(Number.POSITIVE_INFINITY, 0, 20, 100),
    taskTimeoutMs: fc.constantFrom(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 15, 50),
    abortable: fc.option(abortable, { nil: undefined }),
    isAmbient: fc.boolean(),
    obeys: fc.boolean(),
  });
  const add: fc.Arbitrary<Command> = fc.record({ do: fc.constant('add'), shape });
  const outcome = fc.constantFrom('done', 'failed');
  const end: fc.Arbitrary<Command> = fc.record({ do: fc.constant('end'), which: fc.nat(9), outcome });
  const others: fc.Arbitrary<Command> = fc.oneof(
    fc.record({ do: fc.constant('abort'), abortable }),
    fc.record({ do: fc.constant('advance'), ms: fc.nat(60) }),
  );
  const command = fc.oneof(
    { weight: 5, arbitrary: add },
    { weight: 3, arbitrary: end },
    { weight: 2, arbitrary: others },
  );
  return fc.array(command, { maxLength: 60, size: 'max' });
}

async function play(order: Order, list: readonly Command[]): Promise<void> {
  const trial = new Trial(order);
  for (const command of list) {
    if (command.do === 'add') trial.add(command.shape);
    else if (command.do === 'end') trial.end(command.which, command.outcome);
    else if (command.do === 'abort') trial.abort(command.abortable);
    else await trial.advance(command.ms);
    await trial.check();
  }
  await trial.finish();
}

describe('an executor does what its model says', { timeout: 120_000 }, () => {
  it('with one tenant, whose order is that of a sorted list', async () => {
    await fc.assert(
      fc.asyncProperty(commands(['a']), (list) => play(new SortedList(), list)),
      { numRuns: 400 },
    );
  });

  it('with several tenants, in the order of the priority classes', async () => {
    await fc.assert(
      fc.asyncProperty(commands(['a', 'b', 'c']), (list) => play(new FairOrder(), list)),
      { numRuns: 400 },
    );
  });
});
