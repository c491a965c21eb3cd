/** What the next requests meet, one after the other. */
export class Script<Fault> {
  #next: Fault[] = [];
  #otherwise: Fault;

  constructor(otherwise: Fault) {
    this.#otherwise = otherwise;
  }

  set(faults: readonly Fault[], otherwise: Fault): void {
    this.#next = [...faults];
    this.#otherwise = otherwise;
  }

  peek(): Fault {
    return this.#next[0] ?? this.#otherwise;
  }

  draw(): Fault {
    return this.#next.shift() ?? this.#otherwise;
  }
}
