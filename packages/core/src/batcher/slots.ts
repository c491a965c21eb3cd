/** The places for calls under way. Those who have been under way before come before those who begin. */
export class Slots {
  #free: number;
  readonly #queue: (() => void)[] = [];
  #head = 0;

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

  /** Resolves once there is one; it is taken then. */
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
    const next = this.#queue[this.#head];
    if (next === undefined) {
      this.#free++;
      return;
    }
    this.#queue[this.#head++] = noop;
    if (this.#head === this.#queue.length) {
      this.#queue.length = 0;
      this.#head = 0;
    }
    next();
  }
}

function noop(): void {}
