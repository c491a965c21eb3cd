/** How many of a queue may have been served before it lets go of them. */
const slack = 64;

/** The places for calls under way. Those who have been under way before come before those who begin. */
export class Slots {
  #free: number;
  readonly #queue: (() => void)[] = [];
  #served = 0;

  constructor(count: number) {
    this.#free = count;
  }

  get free(): number {
    return this.#free;
  }

  /** To be called where one is free. */
  take(): void {
    this.#free--;
  }

  /** Resolves once there is one, first come, first served; it is taken then. */
  next(): Promise<void> {
    if (this.#free > 0) {
      this.#free--;
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      this.#queue.push(resolve);
    });
  }

  release(): void {
    const next = this.#queue[this.#served];
    if (next === undefined) {
      this.#free++;
      return;
    }
    this.#served++;
    if (this.#served === this.#queue.length || (this.#served > slack && 2 * this.#served > this.#queue.length)) {
      this.#queue.splice(0, this.#served);
      this.#served = 0;
    }
    next();
  }
}
