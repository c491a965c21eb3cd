import { type Clock, coarseNow, runOutside, runShared, untilAborted, WarmpathError } from '../kernel/index.js';
import { type Batch, sizeOf } from './batch.js';
import { type CallOwner, PhysicalCall } from './batch-call.js';
import type { BatchFunction } from './contract.js';
import type { Group } from './group.js';
import { answer, budgetOf, callersOf, fail, firstWanted, isWanted, type Load, type Place } from './load.js';
import type { BatcherConfig } from './options.js';
import { giveOut } from './results.js';
import { type Listed, Roster } from './roster.js';
import type { Watches } from './watches.js';

/** A call that did not answer all of its items. */
export interface Failure {
  readonly error: unknown;
}

interface GoingOn extends Listed {
  giveUp(reason: unknown): void;
}

/** Makes the physical calls, gives out what they answer, and learns and counts what they show. */
export class Sender<Item, Result, Key> implements CallOwner<Item, Result> {
  readonly clock: Clock;
  batches: number = 0;
  items: number = 0;
  splits: number = 0;
  repeats: number = 0;
  underWay: number = 0;
  /** Calls and pauses, to be ended when nothing is waited for any more. */
  readonly #goingOn = new Roster<GoingOn>();
  #filled = 0;
  readonly #run: BatchFunction<Item, Result, Key>;
  readonly #config: BatcherConfig<Item, Key>;
  readonly #watches: Watches<Item, Result>;
  readonly #isLimited: boolean;
  /** To the millisecond or two where nobody listens, since a reading of the clock costs as much as a load. */
  readonly #now: () => number;
  readonly #place: (group: Group<Item, Result>) => Promise<void>;
  readonly #onEnded: (group: Group<Item, Result>) => void;

  /**
   * @param place resolves when it is the turn of a group that goes on after a failure; the place is taken then
   * @param onEnded is told when a call of a group gives its place back
   */
  constructor(
    run: BatchFunction<Item, Result, Key>,
    config: BatcherConfig<Item, Key>,
    watches: Watches<Item, Result>,
    place: (group: Group<Item, Result>) => Promise<void>,
    onEnded: (group: Group<Item, Result>) => void,
  ) {
    this.#run = run;
    this.#config = config;
    this.clock = config.clock;
    this.#isLimited = config.timeoutMs < Number.POSITIVE_INFINITY;
    this.#now = config.onEvent ? () => config.clock.now() : coarseNow(config.clock);
    this.#watches = watches;
    this.#place = place;
    this.#onEnded = onEnded;
  }

  /** How full the batches were on average, from 0 to 1. */
  get efficiency(): number {
    return this.batches === 0 ? 0 : this.#filled / this.batches;
  }

  answer(load: Load<Item, Result>, result: Result | Error): void {
    answer(load, result, this.#watches);
  }

  /** A batch function may throw anything; its callers get it as it came. */
  fail(loads: readonly Load<Item, Result>[], error: unknown): void {
    for (const load of loads) fail(load, error, this.#watches);
  }

  /** Ends whatever goes on. */
  giveUp(reason: unknown): void {
    for (const each of this.#goingOn.all()) each.giveUp(reason);
  }

  /** Resolves when the time is over, or nobody waits for any of the loads. */
  pause(loads: readonly Load<Item, Result>[], pauseMs: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        this.#goingOn.delete(pause);
        timer.cancel();
        resolve();
      };
      let first = 0;
      const timer = this.clock.schedule(pauseMs, end);
      const pause: GoingOn & Place<Item, Result> = {
        rosterIndex: -1,
        giveUp: end,
        left: () => {
          first = firstWanted(loads, first);
          if (first === loads.length) end();
        },
      };
      this.#goingOn.add(pause);
      for (const load of loads) for (const { watch } of callersOf(load)) if (watch) watch.place = pause;
    });
  }

  /** Waits for a place, then sends what is still wanted. Never rejects. */
  async sendInTurn(batch: Batch<Item, Result>): Promise<Failure | undefined> {
    await this.#place(batch.group);
    const loads = batch.loads.filter(isWanted);
    if (loads.length > 0) return new Promise((resolve) => this.send({ ...batch, loads }, resolve));
    this.#onEnded(batch.group);
    return undefined;
  }

  /**
   * To be called with a place that is taken; it is given back when the call has really ended.
   * @param done called once, later, when all that the call answers has been given out
   */
  send(batch: Batch<Item, Result>, done: (failure: Failure | undefined) => void): void {
    const call = new PhysicalCall<Item, Result>(batch, this);
    this.#goingOn.add(call);
    batch.group.underWay++;
    this.underWay++;
    const began = this.#now();
    const finish = (failure: Failure | undefined): void => {
      this.#count(batch, began, failure);
      // First, so that what goes on after a failure is in line when the place is given back.
      done(failure);
      if (!this.#isLimited) call.ended();
    };
    // It belongs to its own callers, and so does what follows from it: not to whoever has made room for it.
    runOutside(() =>
      runShared(call, batch.group.tenant, budgetOf(batch.loads), () => {
        const running = this.#start(call, batch);
        (this.#isLimited ? this.#inTime(running, call) : running).then(
          (results) => finish(this.#giveOut(batch, results)),
          (error: unknown) => finish({ error }),
        );
      }),
    );
  }

  /** What comes back is always later than this call. */
  #start(call: PhysicalCall<Item, Result>, { loads }: Batch<Item, Result>): Promise<unknown> {
    const items = loads.map(({ item }) => item);
    try {
      return Promise.resolve(this.#run(items, call));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #giveOut({ loads }: Batch<Item, Result>, results: unknown): Failure | undefined {
    try {
      giveOut(this.#config.name, loads, results, this);
      return undefined;
    } catch (error) {
      return { error };
    }
  }

  /** The outcome of the call, or an error when its time is over: it has its place until it has really ended. */
  async #inTime(running: Promise<unknown>, call: PhysicalCall<Item, Result>): Promise<unknown> {
    const { clock, timeoutMs, name } = this.#config;
    const end = (): void => call.ended();
    running.then(end, end);
    const timer = clock.schedule(timeoutMs, () => {
      const message = `A call of batcher '${name}' took longer than its timeout of ${timeoutMs} ms.`;
      call.abort(new WarmpathError('WP_DEADLINE', message, { details: { batcher: name, timeoutMs } }));
    });
    try {
      return await untilAborted(running, call.signal);
    } finally {
      timer.cancel();
    }
  }

  ended(call: PhysicalCall<Item, Result>): void {
    const { group } = call;
    this.#goingOn.delete(call);
    group.underWay--;
    this.underWay--;
    this.#onEnded(group);
  }

  #count({ group, loads, trigger }: Batch<Item, Result>, began: number, failure: Failure | undefined): void {
    const { capacity, pace } = group.lane;
    const { name, onEvent } = this.#config;
    const ms = this.#now() - began;
    const size = sizeOf(loads);
    const fill = capacity.fillOf(size);
    this.batches++;
    this.items += loads.length;
    this.#filled += fill;
    if (trigger === 'split') this.splits++;
    if (trigger === 'repeat') this.repeats++;
    if (failure === undefined) {
      pace.took(ms);
      if (trigger === 'full') capacity.wentWell(size);
    }
    if (onEvent === undefined) return;
    const type = failure ? 'batch.failed' : 'batch.done';
    const waitedMs = Math.max(0, began - (loads[0]?.arrival.at ?? began));
    const event = { type, batcher: name, items: loads.length, fill, trigger, ms, waitedMs } as const;
    onEvent(failure ? { ...event, error: failure.error } : event);
  }
}
