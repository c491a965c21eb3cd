interface Held {
  readonly value: Buffer;
  /** On the server's clock; Infinity without a TTL. */
  readonly until: number;
}

/** So many commands can be undone. */
const mostUndone = 10_000;

/** The keys of one server, all of them strings, by the rules of Redis' own commands. Its clock alone decides what is expired. */
export class Keyspace {
  /** The time of the server, in milliseconds. */
  readonly now: () => number;
  readonly #held = new Map<string, Held>();
  /** For each command what was there before, by key. */
  #history: (readonly [string, Held | undefined])[][] = [];
  #command: (readonly [string, Held | undefined])[] = [];

  constructor(now: () => number) {
    this.now = now;
  }

  get(key: string): Buffer | undefined {
    return this.#live(key)?.value;
  }

  /** @param ttlMs `'keep'`: as it was */
  set(key: string, value: Buffer, ttlMs?: number | 'keep'): void {
    const until = ttlMs === 'keep' ? this.#live(key)?.until : ttlMs && this.now() + ttlMs;
    this.#put(key, { value, until: until ?? Number.POSITIVE_INFINITY });
  }

  setRange(key: string, from: number, part: Buffer): void {
    const before = this.get(key) ?? Buffer.alloc(0);
    const value = Buffer.alloc(Math.max(before.length, from + part.length));
    before.copy(value);
    part.copy(value, from);
    this.set(key, value, 'keep');
  }

  /** @returns -2 for a key that is not there, -1 for one without a TTL */
  ttlMs(key: string): number {
    const held = this.#live(key);
    if (!held) return -2;
    return held.until === Number.POSITIVE_INFINITY ? -1 : held.until - this.now();
  }

  expireIn(key: string, ttlMs: number, { onlyIfLater = false } = {}): void {
    const held = this.#live(key);
    const until = this.now() + ttlMs;
    if (held && !(onlyIfLater && until <= held.until)) this.#put(key, { ...held, until });
  }

  remove(key: string): boolean {
    const held = this.#live(key);
    if (held) this.#put(key, undefined);
    return held !== undefined;
  }

  /** From here on begins another command. */
  commit(): void {
    if (this.#command.length === 0) return;
    this.#history.push(this.#command);
    this.#command = [];
    if (this.#history.length >= 2 * mostUndone) this.#history = this.#history.slice(-mostUndone);
  }

  /** As it was before so many of the last commands that have changed anything. */
  undo(commands: number): void {
    for (const command of this.#history.splice(Math.max(0, this.#history.length - commands)).reverse()) {
      for (const [key, before] of command.reverse()) this.#restore(key, before);
    }
  }

  clear(): void {
    this.#held.clear();
    this.#history = [];
  }

  keys(): string[] {
    return [...this.#held.keys()].filter((key) => this.#live(key));
  }

  #live(key: string): Held | undefined {
    const held = this.#held.get(key);
    return held && held.until > this.now() ? held : undefined;
  }

  #put(key: string, held: Held | undefined): void {
    this.#command.push([key, this.#held.get(key)]);
    this.#restore(key, held);
  }

  #restore(key: string, held: Held | undefined): void {
    if (held) this.#held.set(key, held);
    else this.#held.delete(key);
  }
}
