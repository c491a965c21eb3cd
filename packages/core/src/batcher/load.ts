import type { AttemptBudget, CallContext, Due } from '../kernel/index.js';

/** When loads came: one for all of an instant, since a number of its own would cost each of them a piece of memory. */
export interface Arrival {
  readonly at: number;
}

/**
 * One caller's wish for one item. Where others wish for the same, the first of them leads: it travels for all. A load is on every
 * caller's path, so it is a plain object without anything that most have no use for.
 */
export interface Load<Item, Result> {
  readonly item: Item;
  readonly key: unknown;
  readonly weight: number;
  readonly bytes: number;
  readonly arrival: Arrival;
  readonly context: CallContext | undefined;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
  /** Of one that can leave before it is answered; one that was answered has none. */
  watch: Watch<Item, Result> | undefined;
  /** It was answered, or its caller has left. */
  isOver: boolean;
  /** Who wishes for the same, behind this one. */
  followers: Followers<Item, Result> | undefined;
}

/** Those who wish for the same as a leader, in the order in which they joined it. */
export class Followers<Item, Result> {
  readonly all: Load<Item, Result>[] = [];
  #first = 0;

  /** Cost: O(1) on average, however many leave, since whoever has left is passed once. */
  get isAnyWaiting(): boolean {
    while (this.all[this.#first]?.isOver) this.#first++;
    return this.#first < this.all.length;
  }
}

/** Where a load is: whoever keeps it hears that its caller has left. */
export interface Place<Item, Result> {
  left(load: Load<Item, Result>, reason: unknown, watch: Watch<Item, Result>): void;
}

/** Which of the places in heaps is whose: of the deadlines of the batcher, or of those of a group. */
export const heapOf = { batcher: 0, group: 1 } as const;

/** What may end a caller's waiting before its answer does. */
export class Watch<Item, Result> implements Due {
  readonly load: Load<Item, Result>;
  /** On the clock's monotonic scale; Infinity: none. */
  readonly endsAt: number;
  readonly signal: AbortSignal | undefined;
  /** Of the context of the call. */
  readonly outerSignal: AbortSignal | undefined;
  readonly places: number[] = [-1, -1];
  place: Place<Item, Result> | undefined;
  /** Who travels for this one, where that is another. */
  leader: Load<Item, Result> | undefined;

  constructor(
    load: Load<Item, Result>,
    endsAt: number,
    signal: AbortSignal | undefined,
    outerSignal: AbortSignal | undefined,
  ) {
    this.load = load;
    this.endsAt = endsAt;
    this.signal = signal;
    this.outerSignal = outerSignal;
  }
}

/** Whatever watches lets go of one. */
interface Releasing<Item, Result> {
  release(watch: Watch<Item, Result>): void;
}

/** Whether anybody waits for the item of a leader. */
export function isWanted<Item, Result>({ isOver, followers }: Load<Item, Result>): boolean {
  return !isOver || followers?.isAnyWaiting === true;
}

/**
 * The place of the first from `from` on that anybody waits for; the length of the list where there is none. What is wanted no
 * more never is again, so whoever asks again goes on from the last answer: O(1) on average.
 */
export function firstWanted<Item, Result>(loads: readonly (Load<Item, Result> | undefined)[], from: number): number {
  for (let index = from; index < loads.length; index++) {
    const load = loads[index];
    if (load !== undefined && isWanted(load)) return index;
  }
  return loads.length;
}

/** Whether somebody has left who waited for the item of a leader, and nobody is there who does. */
export function isGone<Item, Result>(leader: Load<Item, Result>): boolean {
  return !isWanted(leader) && leader.watch !== undefined;
}

/** Those who wait for the item of a leader. */
export function callersOf<Item, Result>(leader: Load<Item, Result>): Load<Item, Result>[] {
  return [leader, ...(leader.followers?.all ?? [])].filter(({ isOver }) => !isOver);
}

/** What extra calls for these are drawn from, where the context of a caller has a budget. */
export function budgetOf<Item, Result>(leaders: readonly Load<Item, Result>[]): AttemptBudget | undefined {
  for (const { context } of leaders) if (context?.budget !== undefined) return context.budget;
  return undefined;
}

/** Gives all who wait for a leader's item the result, or the Error that stands in its place. */
export function answer<Item, Result>(
  leader: Load<Item, Result>,
  result: Result | Error,
  watches: Releasing<Item, Result>,
): void {
  if (result instanceof Error) fail(leader, result, watches);
  else {
    if (end(leader, watches)) leader.resolve(result);
    if (leader.followers === undefined) return;
    for (const follower of leader.followers.all) if (end(follower, watches)) follower.resolve(result);
  }
}

/** Gives them what was thrown, whatever that is. */
export function fail<Item, Result>(leader: Load<Item, Result>, error: unknown, watches: Releasing<Item, Result>): void {
  if (end(leader, watches)) leader.reject(error);
  if (leader.followers === undefined) return;
  for (const follower of leader.followers.all) if (end(follower, watches)) follower.reject(error);
}

/** False where it was over before. */
function end<Item, Result>(load: Load<Item, Result>, watches: Releasing<Item, Result>): boolean {
  if (load.isOver) return false;
  load.isOver = true;
  if (load.watch !== undefined) {
    watches.release(load.watch);
    load.watch = undefined;
  }
  return true;
}
