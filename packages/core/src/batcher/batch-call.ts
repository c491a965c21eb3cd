import type { Clock, Timer } from '../kernel/index.js';
import type { Batch } from './batch.js';
import type { BatchCall } from './contract.js';
import type { Group } from './group.js';
import { firstWanted, type Load, type Place } from './load.js';
import type { Listed } from './roster.js';

/** How long a call that was aborted keeps its place, where it does not end by itself. */
const abortGraceMs = 5_000;

/** Who is told of what happens to a call. */
export interface CallOwner<Item, Result> {
  readonly clock: Clock;
  answer(load: Load<Item, Result>, result: Result | Error): void;
  fail(loads: readonly Load<Item, Result>[], error: unknown): void;
  /** It gives its place back; said once. */
  ended(call: PhysicalCall<Item, Result>): void;
}

/**
 * One physical call, as the batch function sees it and as its items do. Its signal is made when somebody looks at it. It has a
 * place among those under way until it has really ended, so that there are never more; one that does not listen to its signal is
 * given up 5 s after that was aborted.
 */
export class PhysicalCall<Item, Result> implements BatchCall<Result>, Place<Item, Result>, Listed {
  readonly attempt: number;
  rosterIndex: number = -1;
  readonly group: Group<Item, Result>;
  readonly #loads: readonly Load<Item, Result>[];
  readonly #owner: CallOwner<Item, Result>;
  #controller: AbortController | undefined;
  #aborted: { readonly reason: unknown } | undefined;
  #grace: Timer | undefined;
  #hasEnded = false;
  #firstWanted = 0;

  constructor({ group, loads, attempt }: Batch<Item, Result>, owner: CallOwner<Item, Result>) {
    this.attempt = attempt;
    this.group = group;
    this.#loads = loads;
    this.#owner = owner;
    for (const load of loads) {
      if (load.watch) load.watch.place = this;
      if (load.followers) for (const { watch } of load.followers.all) if (watch) watch.place = this;
    }
  }

  get apart(): unknown {
    return this.group.lane.apart;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted) this.#controller.abort(this.#aborted.reason);
    }
    return this.#controller.signal;
  }

  /** Bound to its call, so that a batch function may take it out of it. */
  get settle(): (index: number, result: Result | Error) => void {
    return (index, result) => {
      const load = this.#loads[index];
      if (load === undefined) throw new RangeError(`There is no item ${index} in a batch of ${this.#loads.length}.`);
      if (!this.#hasEnded) this.#owner.answer(load, result);
    };
  }

  left(_load: Load<Item, Result>, reason: unknown): void {
    this.#firstWanted = firstWanted(this.#loads, this.#firstWanted);
    if (this.#firstWanted === this.#loads.length) this.abort(reason);
  }

  abort(reason: unknown): void {
    if (this.#aborted || this.#hasEnded) return;
    this.#aborted = { reason };
    this.#controller?.abort(reason);
    this.#grace = this.#owner.clock.schedule(abortGraceMs, () => this.ended(), { background: true });
  }

  /** Ends it without waiting for its function. */
  giveUp(reason: unknown): void {
    this.#owner.fail(this.#loads, reason);
    this.abort(reason);
    this.ended();
  }

  /** Its function has come to an end. */
  ended(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#grace?.cancel();
    this.#owner.ended(this);
  }
}
