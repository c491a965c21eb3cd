export interface Span {
  readonly from: number;
  readonly to: number;
}

/** Spans in the order of their ends, which is about the order in which they are told. */
export class Timeline<T extends Span> {
  readonly #all: T[] = [];
  #longestMs = 0;

  add(span: T): void {
    const after = this.#all.findLastIndex(({ to }) => to <= span.to);
    this.#all.splice(after + 1, 0, span);
    this.#longestMs = Math.max(this.#longestMs, span.to - span.from);
  }

  overlapping(from: number, to: number): T[] {
    const found: T[] = [];
    for (let index = this.#firstThatEndsAt(from); index < this.#all.length; index++) {
      const span = this.#all[index] as T;
      if (span.to > to + this.#longestMs) break;
      if (span.from <= to) found.push(span);
    }
    return found;
  }

  /** The one that ended first among those that have begun since. */
  firstSince(at: number): T | undefined {
    for (let index = this.#firstThatEndsAt(at); index < this.#all.length; index++) {
      const span = this.#all[index] as T;
      if (span.from >= at) return span;
    }
    return undefined;
  }

  /** Or later. */
  #firstThatEndsAt(at: number): number {
    let [low, high] = [0, this.#all.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#all[middle] as T).to < at) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** A timeline for each name. */
export class Timelines<N, T extends Span> {
  readonly #all = new Map<N, Timeline<T>>();

  of(name: N): Timeline<T> {
    const timeline = this.#all.get(name) ?? new Timeline<T>();
    this.#all.set(name, timeline);
    return timeline;
  }
}
