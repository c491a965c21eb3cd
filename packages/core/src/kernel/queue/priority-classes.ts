import { FairQueue } from './fair-queue.js';
import { IndexedHeap } from './indexed-heap.js';
import { lowestPriority, type Newcomer, type Queued, slots } from './queued.js';

/**
 * The order of all that waits for one key: strict classes of priority, fair among the tenants inside each. What waits rises
 * by one class for each `agingMs`, at that very instant, whenever somebody looks. Whoever is next when another one joins its
 * class has begun to be served, so no other tenant gets before it. Pure: the caller says what time it is, and that time
 * never goes back. O(log n).
 */
export class PriorityClasses<T extends Queued> {
  readonly #agingMs: number;
  readonly #classes: (FairQueue<T> | undefined)[] = [];
  readonly #rising = new IndexedHeap<T>(risesBefore, slots.rise);
  #size = 0;

  /** @param agingMs Infinity: nothing rises */
  constructor(agingMs: number) {
    this.#agingMs = agingMs;
  }

  get size(): number {
    return this.#size;
  }

  /** The most urgent class that has anybody. */
  get #first(): FairQueue<T> | undefined {
    for (const queue of this.#classes) if (queue?.next !== undefined) return queue;
    return undefined;
  }

  add(item: T, now: number): void {
    this.#age(now);
    item.riseAt = now + this.#agingMs;
    this.#place(item);
    this.#size++;
  }

  /** Who is to be served now. */
  next(now: number): T | undefined {
    this.#age(now);
    return this.#first?.next;
  }

  /** It leaves with nothing. */
  remove(item: T, now: number): void {
    this.#age(now);
    this.#classes[item.priority]?.remove(item);
    this.#left(item);
  }

  /** It leaves with what it wanted. */
  serve(item: T, now: number): void {
    this.#age(now);
    this.#classes[item.priority]?.serve(item);
    this.#left(item);
  }

  /** What would be served before a newcomer, by dimension: exact for more urgent classes, an estimate within its own. */
  amountsAhead(newcomer: Newcomer, now: number): number[] {
    this.#age(now);
    const sums = newcomer.amounts.map(() => 0);
    for (let priority = 0; priority < newcomer.priority; priority++) this.#classes[priority]?.addAll(sums);
    this.#classes[newcomer.priority]?.addAhead(newcomer, sums);
    return sums;
  }

  /** One class at a time, in the order of the instants: so it does not matter how often somebody looks. */
  #age(now: number): void {
    for (let item = this.#rising.first; item !== undefined && item.riseAt <= now; item = this.#rising.first) {
      this.#rising.remove(item);
      this.#classes[item.priority]?.remove(item);
      item.priority--;
      item.riseAt += this.#agingMs;
      this.#place(item);
    }
  }

  #place(item: T): void {
    const { priority } = item;
    while (this.#classes.length <= priority) this.#classes.push(undefined);
    let queue = this.#classes[priority];
    if (queue === undefined) {
      queue = new FairQueue<T>();
      this.#classes[priority] = queue;
    }
    this.#first?.begin();
    queue.add(item);
    if (priority > 0 && item.riseAt < Number.POSITIVE_INFINITY) this.#rising.add(item);
  }

  #left(item: T): void {
    this.#rising.remove(item);
    this.#size--;
  }
}

/** When whatever waits is of the first class, and as urgent as anything that comes later. */
export function dueBy(deadline: number, enteredAt: number, agingMs: number): number {
  return Math.min(deadline, enteredAt + (lowestPriority + 1) * agingMs);
}

function risesBefore(a: Queued, b: Queued): boolean {
  return a.riseAt < b.riseAt || (a.riseAt === b.riseAt && a.sequence < b.sequence);
}
