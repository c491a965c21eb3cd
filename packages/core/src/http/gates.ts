/** What waits until undici has room for it. */
export interface Waiting {
  /** It has its place. */
  start(): void;
}

/** undici's own limit of streams on one socket of HTTP/2. */
const streamsPerSocket = 100;

/** So many origins are remembered that nobody asks at present. */
const mostIdle = 100;

/**
 * Lets undici have as many requests to each origin as it can send at once, in the order in which they came. The rest wait here, where
 * whoever is left can leave: from undici's own queue nothing can be taken back, and each one that was given up there costs a new
 * connection, which undici closes for it.
 */
export class Gates {
  readonly #connections: number;
  readonly #byOrigin = new Map<string, Gate>();

  constructor(connections: number) {
    this.#connections = connections;
  }

  /** Whether it has a place at once; if not it waits. */
  enter(origin: string, request: Waiting): boolean {
    let gate = this.#byOrigin.get(origin);
    if (!gate) {
      gate = new Gate(this.#connections);
      this.#byOrigin.set(origin, gate);
    }
    return gate.enter(request);
  }

  /** One that has a place is over. */
  leave(origin: string): void {
    const gate = this.#byOrigin.get(origin);
    gate?.leave();
    if (gate?.isEmpty && this.#byOrigin.size > mostIdle) this.#byOrigin.delete(origin);
  }

  /** One that waits does not want to any more. */
  giveUp(origin: string, request: Waiting): void {
    this.#byOrigin.get(origin)?.waiting.delete(request);
  }

  /** What a request was sent as. */
  sentAs(origin: string, isH2: boolean): void {
    this.#byOrigin.get(origin)?.widen(isH2 ? this.#connections * streamsPerSocket : this.#connections);
  }
}

class Gate {
  readonly waiting = new Set<Waiting>();
  #limit: number;
  #taken = 0;
  #isOpening = false;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get isEmpty(): boolean {
    return this.#taken === 0 && this.waiting.size === 0;
  }

  enter(request: Waiting): boolean {
    if (this.#taken >= this.#limit) {
      this.waiting.add(request);
      return false;
    }
    this.#taken++;
    return true;
  }

  leave(): void {
    this.#taken--;
    this.#open();
  }

  widen(limit: number): void {
    if (limit === this.#limit) return;
    this.#limit = limit;
    this.#open();
  }

  /** A loop, not a recursion: all that wait may fail as soon as they start. */
  #open(): void {
    if (this.#isOpening) return;
    this.#isOpening = true;
    for (const next of this.waiting) {
      if (this.#taken >= this.#limit) break;
      this.waiting.delete(next);
      this.#taken++;
      next.start();
    }
    this.#isOpening = false;
  }
}
