import { IndexedHeap } from './indexed-heap.js';
import type { Newcomer, Queued } from './queued.js';
import { TenantQueue } from './tenant-queue.js';

/**
 * One class of priority: tenants share what is handed out in proportion to their weights, whatever the sizes of their
 * requests. Self-clocked fair queueing (S. J. Golestani, "A self-clocked fair queueing scheme for broadband applications",
 * INFOCOM 1994): the head of each tenant has a finish tag, which is its tenant's last one, or the virtual time where that is
 * later, plus its cost / weight; the earliest tag is served, and the virtual time is the tag of what is being served. Between
 * any two tenants that wait all the while, what they are given, divided by their weights, differs by no more than one request
 * of each. It is what deficit round robin is in the long run, without a quantum to choose and without bursts of one tenant.
 *
 * A tenant that has been served never has a tag beyond the virtual time, so one that waits for nothing can be forgotten:
 * it neither gains nor loses by that. O(log n) in tenants, and in what waits for one of them.
 */
export class FairQueue<T extends Queued> {
  readonly #tenants = new Map<string, TenantQueue<T>>();
  readonly #byTag = new IndexedHeap<TenantQueue<T>>(isTaggedBefore);
  #virtualTime = 0;
  #cost = 0;
  /** Of all that waits here, by dimension. */
  #amounts: number[] = [];

  get tenants(): number {
    return this.#tenants.size;
  }

  get next(): T | undefined {
    return this.#byTag.first?.head;
  }

  /** Says that the next one is being served, if only by waiting until it fits: a tenant that comes now is behind it. */
  begin(): void {
    const tag = this.#byTag.first?.tag ?? 0;
    if (tag > this.#virtualTime) this.#virtualTime = tag;
  }

  add(item: T): void {
    let queue = this.#tenants.get(item.tenant);
    if (queue === undefined) {
      queue = new TenantQueue<T>(item.tenant, item.weight, this.#virtualTime);
      this.#tenants.set(item.tenant, queue);
      queue.add(item);
      this.#byTag.add(queue);
    } else {
      queue.weight = item.weight;
      queue.add(item);
      this.#byTag.update(queue);
    }
    this.#count(item, 1);
  }

  /** It leaves with nothing, so its tenant owes nothing for it. */
  remove(item: T): void {
    const queue = this.#tenants.get(item.tenant);
    if (queue === undefined) return;
    queue.remove(item);
    if (queue.head !== undefined) this.#byTag.update(queue);
    else {
      this.#byTag.remove(queue);
      this.#tenants.delete(item.tenant);
    }
    this.#count(item, -1);
    if (this.#tenants.size === 0) this.#reset();
  }

  /** It leaves with what it wanted, next or not. */
  serve(item: T): void {
    const queue = this.#tenants.get(item.tenant);
    if (queue === undefined) return;
    queue.start += item.cost / queue.weight;
    if (queue.start > this.#virtualTime) this.#virtualTime = queue.start;
    this.remove(item);
  }

  /** Adds all that waits here, by dimension. */
  addAll(sums: number[]): void {
    this.#addShare(1, sums);
  }

  /**
   * Adds what would be served here before a newcomer, by dimension: what is due before it in its own tenant, and what the others
   * get until its tag; in the proportion in which all that waits here needs the dimensions. Of 32 tenants and more, and of long
   * queues, it is an estimate; else more than what it will be by less than one request of each tenant.
   */
  addAhead({ tenant, cost, weight, due }: Newcomer, sums: number[]): void {
    const first = this.#byTag.first;
    if (first === undefined) return;
    const own = this.#tenants.get(tenant);
    const ownAhead = own?.costBefore(due) ?? 0;
    const tag = (own?.start ?? Math.max(this.#virtualTime, first.tag)) + (ownAhead + cost) / weight;
    const othersAhead = this.#byTag.sumWhile(
      (queue) => queue.tag <= tag,
      (queue) => (queue === own ? 0 : queue.costUntil(tag)),
    );
    this.#addShare(Math.min(1, (ownAhead + othersAhead) / this.#cost), sums);
  }

  #addShare(share: number, sums: number[]): void {
    for (let index = 0; index < this.#amounts.length; index++)
      sums[index] = (sums[index] ?? 0) + share * (this.#amounts[index] ?? 0);
  }

  #count({ cost, amounts }: Queued, sign: 1 | -1): void {
    this.#cost = Math.max(0, this.#cost + sign * cost);
    for (let index = 0; index < amounts.length; index++)
      this.#amounts[index] = Math.max(0, (this.#amounts[index] ?? 0) + sign * (amounts[index] ?? 0));
  }

  /** Where nobody waits, nothing is left to compare with, nor are the errors of sums. */
  #reset(): void {
    this.#virtualTime = 0;
    this.#cost = 0;
    this.#amounts = [];
  }
}

function isTaggedBefore<T extends Queued>(a: TenantQueue<T>, b: TenantQueue<T>): boolean {
  if (a.tag !== b.tag) return a.tag < b.tag;
  return (a.head?.sequence ?? 0) < (b.head?.sequence ?? 0);
}
