import {
  abortReason,
  atTurnsEnd,
  badOption,
  type CallContext,
  coarseNow,
  currentContext,
  deadlineError,
  linkAbort,
  roundingMs,
  untilAborted,
  WarmpathError,
} from '../kernel/index.js';
import type { Batcher, BatcherOptions, BatcherStats, BatchFunction, LoadCall } from './contract.js';
import type { BatchTrigger } from './events.js';
import type { Group, GroupOwner } from './group.js';
import { bytesOf, weighed } from './item-size.js';
import { Journey } from './journey.js';
import { Lanes } from './lanes.js';
import { type Arrival, type Load, Watch } from './load.js';
import { type BatcherConfig, checkCall, resolveOptions } from './options.js';
import { Roster } from './roster.js';
import { type Failure, Sender } from './sender.js';
import { Turns } from './turns.js';
import { Watches } from './watches.js';

/** How long `close()` waits for calls under way. */
const closeGraceMs = 5_000;
const noCall: LoadCall = {};

/**
 * Packs single calls into batches. On an idle batcher one goes at the end of its turn, with whatever else was asked for in that
 * turn; while calls are under way, items wait for others: until a limit is reached, the window is over, a deadline presses or
 * nothing is under way any more. A call that fails is not everybody's failure: see `FailureKind`.
 * @throws WarmpathError `WP_BAD_OPTION`; a load rejects as `Batcher.load` says
 */
export function createBatcher<Item, Result, Key = unknown>(
  run: BatchFunction<Item, Result, Key>,
  options: BatcherOptions<Item, Key> = {},
): Batcher<Item, Result> {
  const config = resolveOptions(options);
  if (typeof run !== 'function') throw badOption('createBatcher()', 'run', 'a function', run);
  return new PackingBatcher(run, config);
}

class PackingBatcher<Item, Result, Key> implements Batcher<Item, Result>, GroupOwner<Item, Result> {
  readonly name: string;
  readonly hasKeys: boolean;
  readonly #config: BatcherConfig<Item, Key>;
  readonly #lanes: Lanes<Item, Result, Key>;
  readonly #watches: Watches<Item, Result>;
  readonly #sender: Sender<Item, Result, Key>;
  readonly #journeys = new Set<Journey<Item, Result, Key>>();
  /** The groups in which items wait, from the end of the turn in which they came. */
  readonly #waitingIn = new Roster<Group<Item, Result>>();
  /** Of groups with a call that is due, be it new or one that goes on after a failure. */
  readonly #turns: Turns<Group<Item, Result>>;
  readonly #now: () => number;
  /** Of what is neither of a tenant nor kept apart. */
  readonly #common: Group<Item, Result>;
  readonly #isSized: boolean;
  readonly #keyOf: ((item: Item) => Key) | undefined;
  #waiting = 0;
  #joined = 0;
  #closing: Promise<void> | undefined;
  #onDrained: (() => void) | undefined;

  constructor(run: BatchFunction<Item, Result, Key>, config: BatcherConfig<Item, Key>) {
    this.name = config.name;
    this.hasKeys = config.key !== false;
    this.#config = config;
    this.#now = coarseNow(config.clock);
    this.#keyOf = config.key === false ? undefined : config.key;
    this.#turns = new Turns(config.maxConcurrent, (group) => this.#serve(group));
    this.#lanes = new Lanes(config, this);
    this.#common = this.#lanes.common;
    this.#isSized = config.weight !== undefined || config.maxBytes < Number.POSITIVE_INFINITY;
    this.#watches = new Watches(config.clock, `A load of batcher '${config.name}'`, (load, watch, reason) => {
      load.reject(reason);
      watch.place?.left(load, reason, watch);
    });
    this.#sender = new Sender(
      run,
      config,
      this.#watches,
      (group) => this.#placeFor(group),
      (group) => this.#afterCall(group),
    );
  }

  load(item: Item, call: LoadCall = noCall): Promise<Result> {
    // Whatever is thrown in here rejects the promise.
    return new Promise((resolve, reject) => this.#enter(item, call, resolve, reject));
  }

  async loadMany(items: readonly Item[], call?: LoadCall): Promise<Result[]> {
    if (!Array.isArray(items)) throw badOption('loadMany()', 'items', 'a list', items, true);
    return Promise.all(items.map((item) => this.load(item, call)));
  }

  async loadSettled(items: readonly Item[], call?: LoadCall): Promise<(Result | Error)[]> {
    if (!Array.isArray(items)) throw badOption('loadSettled()', 'items', 'a list', items, true);
    return Promise.all(items.map((item) => this.load(item, call).catch(asError)));
  }

  stats(): BatcherStats {
    const { batches, items, efficiency, splits, repeats, underWay } = this.#sender;
    return { batches, items, joined: this.#joined, efficiency, splits, repeats, waiting: this.#waiting, underWay };
  }

  close(): Promise<void> {
    this.#closing ??= this.#drain();
    return this.#closing;
  }

  #enter(item: Item, call: LoadCall, resolve: (result: Result) => void, reject: (error: unknown) => void): void {
    if (this.#closing !== undefined) throw this.#closedError();
    if (this.#waiting >= this.#config.maxWaiting) throw this.#overloaded();
    if (call !== noCall) checkCall(call);
    const context = currentContext();
    const group = this.#groupOf(item, call, context);
    const isSized = this.#isSized;
    const load: Load<Item, Result> = {
      item,
      key: this.#keyOf === undefined ? item : this.#keyOf(item),
      weight: isSized ? weighed(this.#config, item) : 0,
      bytes: isSized ? bytesOf(this.#config, item) : 0,
      arrival: group.isReviewDue ? group.lastArrival : this.#arrivalIn(group),
      context,
      resolve,
      reject,
      watch: undefined,
      isOver: false,
      followers: undefined,
    };
    if (context !== undefined || call.signal !== undefined) this.#watch(load, call.signal);
    group.add(load);
    this.#waiting++;
    if (group.isReviewDue) return;
    if (group.items > 1 && load.watch === undefined && !group.lane.capacity.isFilledBy(group)) return;
    group.isReviewDue = true;
    atTurnsEnd(() => {
      group.isReviewDue = false;
      if (group.items > 0) this.#waitingIn.add(group);
      this.#review(group);
    });
  }

  #groupOf(item: Item, { apart }: LoadCall, context: CallContext | undefined): Group<Item, Result> {
    const tenant = this.#config.isShared ? undefined : context?.tenant;
    if (tenant === undefined && apart === undefined && this.#config.apart === undefined) return this.#common;
    return this.#lanes.of(item, apart).groupOf(tenant);
  }

  /** Sees to it that the load ends with its caller's signal, or its context's, or its deadline. @throws where it has */
  #watch(load: Load<Item, Result>, signal: AbortSignal | undefined): void {
    const { signal: outerSignal, deadline = Number.POSITIVE_INFINITY } = load.context ?? {};
    if (signal?.aborted) throw abortReason(signal);
    if (outerSignal?.aborted) throw abortReason(outerSignal);
    const isLimited = deadline < Number.POSITIVE_INFINITY;
    if (isLimited && deadline <= this.#config.clock.now()) throw deadlineError(`A load of batcher '${this.name}'`, 0);
    if (!isLimited && signal === undefined && outerSignal === undefined) return;
    load.watch = new Watch(load, deadline, signal, outerSignal === signal ? undefined : outerSignal);
    this.#watches.join(load.watch);
  }

  #arrivalIn(group: Group<Item, Result>): Arrival {
    const at = this.#now();
    const { lastArrival } = group;
    if (lastArrival.at === at) return lastArrival;
    group.lane.pace.arrived(at - lastArrival.at, this.#config.windowMs);
    group.lastArrival = { at };
    return group.lastArrival;
  }

  /** Has its next batches go, as far as they are due, or sees to it that this is done when they are. */
  #review(group: Group<Item, Result>): void {
    while (group.items > 0) {
      const trigger = this.#triggerOf(group);
      if (trigger === undefined) {
        this.#arm(group);
        return;
      }
      if (!this.#turns.isFree) {
        this.#turns.join(group);
        return;
      }
      this.#turns.take();
      this.#send(group, trigger);
    }
  }

  /** A group has its turn: it goes on with what failed, or sends what is due. Says whether it has more to do. */
  #serve(group: Group<Item, Result>): boolean {
    const resume = group.resuming.shift();
    const trigger = resume === undefined && group.items > 0 ? this.#triggerOf(group) : undefined;
    if (resume !== undefined || trigger !== undefined) this.#turns.take();
    if (resume !== undefined) resume();
    else if (trigger !== undefined) this.#send(group, trigger);
    if (group.resuming.length > 0) return true;
    if (group.items === 0) return false;
    if (this.#triggerOf(group) !== undefined) return true;
    this.#arm(group);
    return false;
  }

  /** A group that goes on after a failure takes its turn like any other: nobody's bad items hold up those of others. */
  #placeFor(group: Group<Item, Result>): Promise<void> {
    return new Promise((resolve) => {
      group.resuming.push(resolve);
      this.#turns.join(group);
    });
  }

  #send(group: Group<Item, Result>, trigger: BatchTrigger): void {
    group.compare();
    const loads = group.take(this.#urgentBy(group));
    this.#took(group, loads.length);
    this.#sender.send({ group, loads, trigger, attempt: 1 }, (failure) => {
      if (failure) void this.#travel(group, loads, failure);
      else this.#checkDrained();
    });
  }

  /** Whatever is due by then may not wait for another call to end. */
  #urgentBy(group: Group<Item, Result>): number {
    if (group.firstDeadline === Number.POSITIVE_INFINITY) return Number.NEGATIVE_INFINITY;
    return this.#config.clock.now() + 2 * group.lane.pace.predictedMs;
  }

  /** Never rejects: what goes wrong reaches the items. */
  async #travel(group: Group<Item, Result>, loads: readonly Load<Item, Result>[], failure: Failure): Promise<void> {
    const journey = new Journey(group, loads, this.#config, this.#sender);
    this.#journeys.add(journey);
    await journey.goOn(loads, failure);
    this.#journeys.delete(journey);
    this.#checkDrained();
  }

  /** Why the next batch of a group that is not empty is due; undefined: it is not. */
  #triggerOf(group: Group<Item, Result>): BatchTrigger | undefined {
    if (this.#closing !== undefined) return 'close';
    if (group.lane.capacity.isFilledBy(group)) {
      group.compare();
      if (group.lane.capacity.isFilledBy(group)) return 'full';
    }
    const patienceMs = this.#patienceMs(group);
    const trigger = group.underWay > 0 ? 'window' : 'idle';
    if (patienceMs === 0) return trigger;
    const now = this.#config.clock.now() + roundingMs;
    if (now >= (group.oldest?.arrival.at ?? 0) + patienceMs) return trigger;
    return now >= group.firstDeadline - group.lane.pace.predictedMs ? 'deadline' : undefined;
  }

  #patienceMs(group: Group<Item, Result>): number {
    const { windowMs } = this.#config;
    return group.underWay > 0 ? windowMs : group.lane.pace.idlePatienceMs(windowMs);
  }

  #arm(group: Group<Item, Result>): void {
    const overAt = (group.oldest?.arrival.at ?? 0) + this.#patienceMs(group);
    const dueAt = Math.min(overAt, group.firstDeadline - group.lane.pace.predictedMs);
    if (group.timer && group.timerAt === dueAt) return;
    group.timer?.cancel();
    group.timerAt = dueAt;
    const { clock } = this.#config;
    group.timer = clock.schedule(Math.max(0, dueAt - clock.now()), () => {
      group.timer = undefined;
      this.#review(group);
    });
  }

  /** A call of the group has given its place back: what waited for it may not be worth waiting for any more. */
  #afterCall(group: Group<Item, Result>): void {
    this.#turns.release();
    if (group.items > 0) this.#review(group);
    this.#checkDrained();
  }

  lost(group: Group<Item, Result>): void {
    this.#took(group, 1);
    this.#checkDrained();
  }

  joined(count: number): void {
    this.#joined += count;
    this.#waiting -= count;
  }

  #took(group: Group<Item, Result>, count: number): void {
    this.#waiting -= count;
    if (group.items > 0) return;
    group.timer?.cancel();
    group.timer = undefined;
    if (group.resuming.length === 0) this.#turns.leave(group);
    this.#waitingIn.delete(group);
  }

  async #drain(): Promise<void> {
    await Promise.resolve(); // so that #closing is there, by which everything is due
    for (const group of this.#waitingIn.all()) this.#review(group);
    const drained = new Promise<void>((resolve) => {
      this.#onDrained = resolve;
    });
    this.#checkDrained();
    const limit = linkAbort({
      timeoutMs: closeGraceMs,
      clock: this.#config.clock,
      what: `Closing batcher '${this.name}'`,
    });
    try {
      await untilAborted(drained, limit.signal);
    } catch {
      this.#giveUp();
    } finally {
      limit.release();
    }
  }

  #checkDrained(): void {
    if (this.#onDrained && this.#waiting + this.#journeys.size + this.#sender.underWay === 0) this.#onDrained();
  }

  #giveUp(): void {
    const reason = this.#closedError();
    for (const group of this.#waitingIn.all()) {
      while (group.items > 0) {
        const loads = group.take(Number.NEGATIVE_INFINITY);
        this.#took(group, loads.length);
        this.#sender.fail(loads, reason);
      }
    }
    for (const { loads } of this.#journeys) this.#sender.fail(loads, reason);
    this.#sender.giveUp(reason);
  }

  #closedError(): WarmpathError {
    return new WarmpathError('WP_CLOSED', `Batcher '${this.name}' is closed.`, { details: { batcher: this.name } });
  }

  #overloaded(): WarmpathError {
    const { maxWaiting, maxConcurrent } = this.#config;
    return new WarmpathError(
      'WP_OVERLOADED',
      `Batcher '${this.name}' has ${this.#waiting} items waiting, which is all that 'maxWaiting' allows.`,
      {
        details: {
          batcher: this.name,
          waiting: this.#waiting,
          maxWaiting,
          underWay: this.#sender.underWay,
          maxConcurrent,
        },
      },
    );
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error), { cause: error });
}
