import { IndexedHeap, type Placed } from './indexed-heap.js';
import { type Queued, slots } from './queued.js';

/** What waits for one tenant in one class: the earliest due first, of the same instant the first come. */
export class TenantQueue<T extends Queued> implements Placed {
  readonly tenant: string;
  readonly places: number[] = [-1];
  weight: number;
  /** The virtual time at which its head could begin; see FairQueue. */
  start: number;
  /** The virtual time at which its head would be through: tenants are served in the order of these. */
  tag = 0;
  /** Of all that waits here. */
  cost = 0;
  readonly #queue = new IndexedHeap<T>(isDueBefore, slots.tenant);
  /** Nothing here is due later; it may be that nothing is due as late any more. */
  #lastDue = Number.NEGATIVE_INFINITY;

  constructor(tenant: string, weight: number, start: number) {
    this.tenant = tenant;
    this.weight = weight;
    this.start = start;
  }

  get head(): T | undefined {
    return this.#queue.first;
  }

  add(item: T): void {
    this.#queue.add(item);
    this.cost += item.cost;
    if (item.due > this.#lastDue) this.#lastDue = item.due;
    this.retag();
  }

  remove(item: T): void {
    this.#queue.remove(item);
    this.cost = this.#queue.size > 0 ? Math.max(0, this.cost - item.cost) : 0;
    this.retag();
  }

  /** To be called when its start or weight has changed. */
  retag(): void {
    const { head } = this;
    if (head !== undefined) this.tag = this.start + head.cost / this.weight;
  }

  /** The cost of what is through by that virtual time, and of part of the next, as if it were served bit by bit. */
  costUntil(tag: number): number {
    return Math.min(this.cost, (this.head?.cost ?? 0) + (tag - this.tag) * this.weight);
  }

  /** The cost of what would come before a newcomer. An estimate where that is part of a long queue, see IndexedHeap. */
  costBefore(due: number): number {
    if (due >= this.#lastDue) return this.cost;
    const cost = this.#queue.sumWhile(
      (item) => item.due <= due,
      (item) => item.cost,
    );
    return Math.min(cost, this.cost);
  }
}

function isDueBefore(a: Queued, b: Queued): boolean {
  return a.due < b.due || (a.due === b.due && a.sequence < b.sequence);
}
