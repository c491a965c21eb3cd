/** What can be found in the heaps that it is in. */
export interface Placed {
  /** By slot, where it is in the heap of that slot; -1 where it is in none. Only the heaps write here. */
  readonly places: number[];
}

/** A sum over fewer than this many is exact. */
const mostCounted = 32;

/**
 * A binary min-heap whose items know where they are, so that any of them can leave. The first is at hand in O(1); adding,
 * removing and updating cost O(log n), and adding what comes last O(1).
 */
export class IndexedHeap<T extends Placed> {
  readonly #items: T[] = [];
  readonly #before: (a: T, b: T) => boolean;
  readonly #slot: number;

  /** @param slot which of an item's places is this heap's: an item may be in one heap of each slot */
  constructor(before: (a: T, b: T) => boolean, slot = 0) {
    this.#before = before;
    this.#slot = slot;
  }

  get size(): number {
    return this.#items.length;
  }

  get first(): T | undefined {
    return this.#items[0];
  }

  has(item: T): boolean {
    return this.#placeOf(item) >= 0;
  }

  /** To be called when it is not inside. */
  add(item: T): void {
    const place = this.#items.length;
    this.#put(item, place);
    this.#rise(item, place);
  }

  /** Nothing where it is not inside. */
  remove(item: T): void {
    const place = this.#placeOf(item);
    if (place < 0) return;
    item.places[this.#slot] = -1;
    const last = this.#items.pop();
    if (last === undefined || last === item) return;
    this.#put(last, place);
    this.update(last);
  }

  /** To be called when its order has changed. */
  update(item: T): void {
    this.#rise(item, this.#placeOf(item));
    this.#sink(item, this.#placeOf(item));
  }

  /**
   * The sum of `measure` over the items for which `holds`, which must hold for whatever is before one of them. Exact where they
   * are fewer than 32, else estimated from 32 of all items. O(1).
   */
  sumWhile(holds: (item: T) => boolean, measure: (item: T) => number): number {
    const places = [0];
    let sum = 0;
    let counted = 0;
    for (let place = places.pop(); place !== undefined; place = places.pop()) {
      const item = this.#items[place];
      if (item === undefined || !holds(item)) continue;
      if (++counted === mostCounted) return this.#sampledSum(holds, measure);
      sum += measure(item);
      places.push(2 * place + 1, 2 * place + 2);
    }
    return sum;
  }

  #sampledSum(holds: (item: T) => boolean, measure: (item: T) => number): number {
    const stride = this.#items.length / mostCounted;
    let sum = 0;
    for (let sample = 0; sample < mostCounted; sample++) {
      const item = this.#items[Math.floor((sample + 0.5) * stride)];
      if (item !== undefined && holds(item)) sum += measure(item);
    }
    return sum * stride;
  }

  #rise(item: T, from: number): void {
    let place = from;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const parent = this.#items[above];
      if (parent === undefined || !this.#before(item, parent)) break;
      this.#put(parent, place);
      place = above;
    }
    if (place !== from) this.#put(item, place);
  }

  #sink(item: T, from: number): void {
    let place = from;
    for (;;) {
      const left = this.#items[2 * place + 1];
      const right = this.#items[2 * place + 2];
      const isRight = left !== undefined && right !== undefined && this.#before(right, left);
      const child = isRight ? right : left;
      if (child === undefined || !this.#before(child, item)) break;
      this.#put(child, place);
      place = 2 * place + (isRight ? 2 : 1);
    }
    if (place !== from) this.#put(item, place);
  }

  #placeOf(item: T): number {
    return item.places[this.#slot] ?? -1;
  }

  #put(item: T, place: number): void {
    this.#items[place] = item;
    item.places[this.#slot] = place;
  }
}
