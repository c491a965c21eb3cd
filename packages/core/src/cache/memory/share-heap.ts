import type { Partition } from './partition.js';

/**
 * A binary max-heap of partitions by their share. The largest is at hand in O(1); a change of a share costs O(log n) at
 * worst, and three comparisons where it changes no order.
 */
export class ShareHeap {
  readonly #partitions: Partition[] = [];

  get size(): number {
    return this.#partitions.length;
  }

  get largest(): Partition | undefined {
    return this.#partitions[0];
  }

  /** The largest of all others. */
  largestBut(partition: Partition): Partition | undefined {
    if (this.#partitions[0] !== partition) return this.#partitions[0];
    const left = this.#partitions[1];
    const right = this.#partitions[2];
    return left && right && right.share > left.share ? right : left;
  }

  add(partition: Partition): void {
    partition.heapIndex = this.#partitions.length;
    this.#partitions.push(partition);
    this.#rise(partition);
  }

  remove(partition: Partition): void {
    const last = this.#partitions.pop();
    if (last && last !== partition) {
      this.#put(last, partition.heapIndex);
      this.update(last);
    }
    partition.heapIndex = -1;
  }

  /** To be called when a share has changed. */
  update(partition: Partition): void {
    if (this.#partitions.length === 1) return;
    this.#rise(partition);
    this.#sink(partition);
  }

  #rise(partition: Partition): void {
    for (let index = partition.heapIndex; index > 0; index = partition.heapIndex) {
      const parent = this.#partitions[(index - 1) >> 1];
      if (!parent || parent.share >= partition.share) return;
      this.#put(parent, index);
      this.#put(partition, (index - 1) >> 1);
    }
  }

  #sink(partition: Partition): void {
    for (let index = partition.heapIndex; ; index = partition.heapIndex) {
      const left = this.#partitions[2 * index + 1];
      const right = this.#partitions[2 * index + 2];
      const larger = left && right && right.share > left.share ? right : left;
      if (!larger || larger.share <= partition.share) return;
      this.#put(partition, larger.heapIndex);
      this.#put(larger, index);
    }
  }

  #put(partition: Partition, index: number): void {
    this.#partitions[index] = partition;
    partition.heapIndex = index;
  }
}
