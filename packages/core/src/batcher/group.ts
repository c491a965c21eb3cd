import { IndexedHeap, type Timer } from '../kernel/index.js';
import type { BatchSize } from './capacity.js';
import type { Lane } from './lanes.js';
import {
  type Arrival,
  callersOf,
  Followers,
  firstWanted,
  heapOf,
  isWanted,
  type Load,
  type Place,
  type Watch,
} from './load.js';
import { packed } from './packing.js';
import type { Listed } from './roster.js';

/** Who keeps the groups. */
export interface GroupOwner<Item, Result> {
  /** Whether what is the same travels once. */
  readonly hasKeys: boolean;
  /** An item has left the group that nobody wants any more. */
  lost(group: Group<Item, Result>): void;
  /** So many wait behind another one from now on. */
  joined(count: number): void;
}

/** How far ahead is looked for items that fit or press, in full batches. */
const lookahead = 4;
/** A line may have this many places that nobody is in, beside as many as there are items. */
const slack = 64;

/**
 * Items that may travel together: of one tenant and one lane, in the order in which they came. Adding one and taking one out
 * cost O(1) on average, or O(log n) where it has a deadline.
 */
export class Group<Item, Result> implements Place<Item, Result>, BatchSize, Listed {
  readonly lane: Lane<Item, Result>;
  readonly tenant: string | undefined;
  /** Leaders that somebody waits for, and all that has not been compared with what is before it yet. */
  items: number = 0;
  weight: number = 0;
  bytes: number = 0;
  /** Calls with items of this group. */
  underWay: number = 0;
  lastArrival: Arrival = { at: Number.NEGATIVE_INFINITY };
  /** Somebody looks at it at the end of the turn anyway. */
  isReviewDue: boolean = false;
  rosterIndex: number = -1;
  /** Calls that go on after a failure and wait for a place, to be told when it is taken: they go before anything new of the group. */
  readonly resuming: (() => void)[] = [];
  timer: Timer | undefined;
  timerAt: number = Number.POSITIVE_INFINITY;
  readonly #deadlines = new IndexedHeap<Watch<Item, Result>>((a, b) => a.endsAt < b.endsAt, heapOf.group);
  readonly #owner: GroupOwner<Item, Result>;
  /** In the order in which they came, from `#head` on; nothing where one has been taken out of the middle. */
  #line: (Load<Item, Result> | undefined)[] = [];
  #head = 0;
  /** Up to here no two wish for the same. */
  #comparedTo = 0;
  /** The last batch had no room for the oldest beside one that was urgent: the next is led by the oldest. */
  #isOldestPassedOver = false;

  constructor(lane: Lane<Item, Result>, tenant: string | undefined, owner: GroupOwner<Item, Result>) {
    this.lane = lane;
    this.tenant = tenant;
    this.#owner = owner;
  }

  get oldest(): Load<Item, Result> | undefined {
    this.#skip();
    return this.#line[this.#head];
  }

  /** The earliest deadline of those who wait here. */
  get firstDeadline(): number {
    return this.#deadlines.first?.endsAt ?? Number.POSITIVE_INFINITY;
  }

  get isIdle(): boolean {
    return this.items === 0 && this.underWay === 0 && this.resuming.length === 0 && !this.isReviewDue;
  }

  add(load: Load<Item, Result>): void {
    this.#line.push(load);
    this.items++;
    this.weight += load.weight;
    this.bytes += load.bytes;
    const { watch } = load;
    if (watch === undefined) return;
    watch.place = this;
    if (watch.endsAt < Number.POSITIVE_INFINITY) this.#deadlines.add(watch);
  }

  /** One of its loads is over. */
  left(load: Load<Item, Result>, _reason: unknown, watch: Watch<Item, Result>): void {
    this.#deadlines.remove(watch);
    const leader = watch.leader ?? load;
    if (isWanted(leader)) return;
    this.#uncount(leader);
    this.#tidy();
    this.#owner.lost(this);
  }

  /** All leaders that wait, the oldest first. */
  all(): Load<Item, Result>[] {
    return this.#line.slice(this.#head).filter((load) => load !== undefined && isWanted(load)) as Load<Item, Result>[];
  }

  /**
   * Has those follow the first of them who wish for the same, among as many as the next batch is taken from. Cost: one look into
   * a set for each of those.
   */
  compare(): void {
    if (this.#comparedTo === this.#line.length || !this.#owner.hasKeys) return;
    this.#skip();
    const span = this.#span;
    const keys = new Set<unknown>();
    let index = this.#head;
    for (; index < this.#line.length && keys.size < span; index++) {
      const load = this.#line[index];
      if (load === undefined || !isWanted(load)) continue;
      const before = keys.size;
      keys.add(load.key);
      if (keys.size > before) continue;
      this.#follow(span);
      return;
    }
    this.#comparedTo = index;
  }

  /**
   * Takes out what goes into the next batch, in the order in which it came: the oldest and what fits beside it, or first of all the
   * one that is due first, if that is by `urgentBy`. Never twice in a row without the oldest, so that nobody waits for ever.
   */
  take(urgentBy: number): Load<Item, Result>[] {
    const { capacity } = this.lane;
    if (this.#head === 0 && this.#line.length === this.items && !capacity.isExceededBy(this)) return this.#takeAll();
    this.#skip();
    const pressed = this.#isOldestPassedOver ? undefined : this.#deadlines.first;
    const leader = pressed && pressed.endsAt <= urgentBy ? (pressed.leader ?? pressed.load) : undefined;
    const near: Load<Item, Result>[] = [];
    const places: number[] = [];
    for (let index = this.#head; index < this.#line.length && near.length < this.#span; index++) {
      const load = this.#line[index];
      if (load === undefined || !isWanted(load)) continue;
      near.push(load);
      places.push(index);
    }
    const seed = leader && !near.includes(leader) ? this.#brought(leader, near, places) : leader;
    const chosen = packed(near, seed, capacity);
    this.#isOldestPassedOver = near[0] !== undefined && !chosen.has(near[0]);
    for (const [index, load] of near.entries()) {
      if (!chosen.has(load)) continue;
      this.#line[places[index] as number] = undefined;
      this.#uncount(load);
      this.#relieve(load);
    }
    this.#tidy();
    return near.filter((load) => chosen.has(load));
  }

  /** Past whatever is at the front and wanted no more, so that nobody walks over it again. */
  #skip(): void {
    this.#head = firstWanted(this.#line, this.#head);
  }

  /** How many the next batch is taken from. */
  get #span(): number {
    const { maxItems, isOfNumberOnly } = this.lane.capacity;
    return isOfNumberOnly && this.#deadlines.size === 0 ? maxItems : lookahead * maxItems;
  }

  /** Of one who presses from further back: whoever in front wishes for the same, and leads from now on; or itself, in front. */
  #brought(leader: Load<Item, Result>, front: Load<Item, Result>[], places: number[]): Load<Item, Result> {
    const index = this.#line.indexOf(leader);
    const same = this.#owner.hasKeys ? front.find(({ key }) => isSame(key, leader.key)) : undefined;
    if (same !== undefined) {
      this.#line[index] = undefined;
      this.#uncount(leader);
      lead(same, leader);
      this.#owner.joined(1);
      return same;
    }
    front.push(leader);
    places.push(index);
    return leader;
  }

  #takeAll(): Load<Item, Result>[] {
    const taken = this.#line as Load<Item, Result>[]; // one for each item, so none is missing
    if (this.#deadlines.size > 0) for (const load of taken) this.#relieve(load);
    this.#line = [];
    this.#comparedTo = 0;
    this.#isOldestPassedOver = false;
    this.items = 0;
    this.weight = 0;
    this.bytes = 0;
    return taken;
  }

  #follow(span: number): void {
    const leaders = new Map<unknown, Load<Item, Result>>();
    let followers = 0;
    let index = this.#head;
    for (; index < this.#line.length && leaders.size < span; index++) {
      const load = this.#line[index];
      if (load === undefined || !isWanted(load)) continue;
      const leader = leaders.get(load.key);
      if (leader === undefined) {
        leaders.set(load.key, load);
        continue;
      }
      this.#line[index] = undefined;
      this.#uncount(load);
      lead(leader, load);
      followers++;
    }
    this.#comparedTo = index;
    this.#owner.joined(followers);
    this.#tidy();
  }

  #relieve(leader: Load<Item, Result>): void {
    if (this.#deadlines.size === 0) return;
    for (const { watch } of callersOf(leader)) if (watch) this.#deadlines.remove(watch);
  }

  #uncount(load: Load<Item, Result>): void {
    this.items--;
    this.weight -= load.weight;
    this.bytes -= load.bytes;
    // What is lost in sums of fractions goes when nothing is left.
    if (this.items === 0) this.weight = 0;
  }

  /** Lets go of what is over, before it is more than what is not. */
  #tidy(): void {
    if (this.#line.length <= 2 * this.items + slack) return;
    const kept = this.all();
    // What was compared stays in front of what was not.
    const compared = this.#line.slice(this.#head, this.#comparedTo);
    this.#comparedTo = compared.filter((load) => load !== undefined && isWanted(load)).length;
    this.#line = kept;
    this.#head = 0;
  }
}

/** Has the callers of another load wait behind a leader. */
function lead<Item, Result>(leader: Load<Item, Result>, other: Load<Item, Result>): void {
  leader.followers ??= new Followers();
  for (const caller of callersOf(other)) {
    leader.followers.all.push(caller);
    if (caller.watch) caller.watch.leader = leader;
  }
}

/** As a Set has it. */
function isSame(key: unknown, other: unknown): boolean {
  return key === other || Object.is(key, other);
}
