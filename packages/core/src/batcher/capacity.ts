/** What is in a batch, or would be. */
export interface BatchSize {
  readonly items: number;
  readonly weight: number;
  readonly bytes: number;
}

/** How many good full batches show that a learned cap may be tried out of. */
const firstTrial = 10;
const longestTrial = 1_000;
const growth = 1.25;
/** Of a learned weight: from here on a batch is full, since weights seldom add up to a limit. */
const nearlyFull = 0.8;

/** A cap that is not written anywhere but shows: raised bit by bit while all goes well, taken back when it does not. */
interface Learned {
  cap: number;
  /** Before the last rise. */
  proven: number;
  fullBatches: number;
  /** Full batches until the next rise: twice as many after each rise that failed. */
  trial: number;
}

/**
 * How much goes into one call: what the options say, and no more than the backend has shown or said to take. A cap that an error
 * states holds from then on. One that only shows, because a batch failed whose halves did not, is tried out of after ten full
 * batches by a quarter, and after twice as many whenever that fails. Pure; all operations are O(1).
 */
export class Capacity {
  readonly #maxItems: number;
  readonly #maxWeight: number;
  readonly #isWeighed: boolean;
  readonly maxBytes: number;
  /** What holds now; read at every load, so kept rather than computed. */
  maxItems: number;
  maxWeight: number;
  #statedItems = Number.POSITIVE_INFINITY;
  #statedWeight = Number.POSITIVE_INFINITY;
  #learned: Learned | undefined;

  /** @param isWeighed whether weights are known, which then tell best what was too much */
  constructor(options: {
    readonly maxItems: number;
    readonly maxWeight: number;
    readonly maxBytes: number;
    readonly isWeighed: boolean;
  }) {
    this.#maxItems = options.maxItems;
    this.#maxWeight = options.maxWeight;
    this.maxBytes = options.maxBytes;
    this.#isWeighed = options.isWeighed;
    this.maxItems = options.maxItems;
    this.maxWeight = options.maxWeight;
  }

  /** Whether it makes no difference which items are taken. */
  get isOfNumberOnly(): boolean {
    return this.maxWeight === Number.POSITIVE_INFINITY && this.maxBytes === Number.POSITIVE_INFINITY;
  }

  isExceededBy({ items, weight, bytes }: BatchSize): boolean {
    return items > this.maxItems || weight > this.maxWeight || bytes > this.maxBytes;
  }

  isFilledBy({ items, weight, bytes }: BatchSize): boolean {
    return items >= this.maxItems || weight >= this.maxWeight || bytes >= this.maxBytes;
  }

  /** From 0 to 1, of the limit that it is closest to; 1 for an item that goes alone though it is above a learned cap. */
  fillOf({ items, weight, bytes }: BatchSize): number {
    return Math.min(1, Math.max(items / this.maxItems, weight / this.maxWeight, bytes / this.maxBytes));
  }

  /** An error said so. It counts where it is less than what was sent; else it is about something else, such as one item. */
  state(cap: { readonly maxItems?: number; readonly maxWeight?: number }, sent: BatchSize): void {
    if (cap.maxItems !== undefined && cap.maxItems >= 1 && cap.maxItems < sent.items) {
      this.#statedItems = Math.min(this.#statedItems, cap.maxItems);
    }
    if (this.#isWeighed && cap.maxWeight !== undefined && cap.maxWeight > 0 && cap.maxWeight < sent.weight) {
      this.#statedWeight = Math.min(this.#statedWeight, cap.maxWeight);
    }
    this.#apply();
  }

  /** A batch failed, all of whose parts went well: it was too much, and the largest of them was not. */
  tooMuch(sent: BatchSize, largestGood: BatchSize): void {
    const good = this.#measure(largestGood);
    if (good <= 0) return;
    const learned = this.#learned;
    if (learned === undefined || this.#measure(sent) <= learned.proven) {
      this.#learned = { cap: good, proven: good, fullBatches: 0, trial: learned?.trial ?? firstTrial };
      this.#apply();
      return;
    }
    // Of several that were sent after one rise, only the first to fail says something new.
    if (learned.cap > learned.proven) learned.trial = Math.min(longestTrial, learned.trial * 2);
    learned.cap = learned.proven;
    learned.fullBatches = 0;
    this.#apply();
  }

  /** A batch of this size went well, from which something was left out for lack of room, or nearly. */
  wentWell(size: BatchSize): void {
    const learned = this.#learned;
    if (learned === undefined || !this.#fillsLearned(size)) return;
    learned.proven = Math.max(learned.proven, this.#measure(size));
    learned.fullBatches++;
    if (learned.fullBatches < learned.trial) return;
    const limit = this.#isWeighed ? this.#maxWeight : this.#maxItems;
    if (learned.cap >= limit) {
      this.#learned = undefined;
      this.#apply();
      return;
    }
    learned.cap = Math.min(limit, Math.max(learned.cap + 1, learned.cap * growth));
    learned.fullBatches = 0;
    this.#apply();
  }

  #fillsLearned(size: BatchSize): boolean {
    return this.#isWeighed ? size.weight >= nearlyFull * this.maxWeight : size.items >= this.maxItems;
  }

  #apply(): void {
    const cap = this.#learned?.cap ?? Number.POSITIVE_INFINITY;
    const [items, weight] = this.#isWeighed ? [Number.POSITIVE_INFINITY, cap] : [cap, Number.POSITIVE_INFINITY];
    this.maxItems = Math.max(1, Math.floor(Math.min(this.#maxItems, this.#statedItems, items)));
    this.maxWeight = Math.min(this.#maxWeight, this.#statedWeight, weight);
  }

  #measure({ items, weight }: BatchSize): number {
    return this.#isWeighed ? weight : items;
  }
}
