import { badOption, checkOptions, isWarmpathError } from '../kernel/index.js';
import type { IterateOptions } from './contract.js';
import { Group, type Groups } from './group.js';
import { callerOf, iterateRules, type Terms, termsOf } from './options.js';
import type { ItemOutcome, TaskOutcome } from './outcome.js';
import type { TaskCall } from './task.js';

export type Source<Item> = Iterable<Item> | AsyncIterable<Item>;
export type ItemWork<Item, T> = (item: Item, call: TaskCall) => T | PromiseLike<T>;

/** `Executor.iterate`. */
export function iterate<Item, T>(
  groups: Groups,
  usual: Terms,
  source: Source<Item>,
  work: ItemWork<Item, T>,
  options: IterateOptions = {},
): AsyncIterable<ItemOutcome<Item, T>> {
  checkOptions('iterate()', options, iterateRules);
  if (!isSource(source)) throw badOption('iterate()', 'source', 'something to iterate over', source);
  if (typeof work !== 'function') throw badOption('iterate()', 'work', 'a function', work);
  return { [Symbol.asyncIterator]: () => new Iteration(groups, usual, source, work, options).outcomes() };
}

interface Held<Item, T> {
  readonly index: number;
  readonly item: Item;
  outcome: TaskOutcome<T> | undefined;
}

/** One pass through a source. What was taken is held until its outcome has been given out. */
class Iteration<Item, T> {
  readonly #group: Group;
  readonly #source: Source<Item>;
  readonly #work: ItemWork<Item, T>;
  readonly #window: number;
  readonly #isInOrder: boolean;
  /** In the order in which they are given out: of the source, or as they were done. */
  readonly #queue: Held<Item, T>[] = [];
  #iterator: Iterator<Item> | AsyncIterator<Item> | undefined;
  #held = 0;
  #taken = 0;
  #isPulling = false;
  /** The source has no more, or has failed: nothing is to be said to it. */
  #isExhausted = false;
  /** What the iteration ends with once everything held has been given out. */
  #failure: { readonly error: unknown } | undefined;
  #wake: () => void = () => {};

  constructor(groups: Groups, usual: Terms, source: Source<Item>, work: ItemWork<Item, T>, options: IterateOptions) {
    const maxConcurrent = Math.min(options.maxConcurrent ?? groups.maxConcurrent, groups.maxConcurrent);
    this.#source = source;
    this.#work = work;
    this.#window = options.window ?? 2 * maxConcurrent;
    this.#isInOrder = options.order !== 'done';
    this.#group = new Group(groups, {
      terms: termsOf(options, usual),
      caller: callerOf(options, groups.clock),
      maxConcurrent,
      onRoom: () => this.#pull(),
      onEnd: (_, error) => {
        this.#failure = { error };
        this.#wake();
      },
    });
  }

  async *outcomes(): AsyncGenerator<ItemOutcome<Item, T>, void, undefined> {
    this.#group.watch();
    try {
      for (;;) {
        this.#pull();
        const ready = this.#take();
        if (ready !== undefined) yield ready;
        else if (this.#held > 0 || !this.#isAtEnd) await this.#change();
        else if (this.#failure === undefined) return;
        else throw this.#failure.error;
      }
    } finally {
      await this.#leave();
    }
  }

  /** Nothing more is taken from the source. */
  get #isAtEnd(): boolean {
    return this.#isExhausted || this.#group.isOver;
  }

  /** Takes items while they can begin or wait for a place. */
  #pull(): void {
    if (this.#isPulling) return;
    this.#isPulling = true;
    while (!this.#isAtEnd && this.#held < this.#window && this.#group.hasRoom) {
      let result: IteratorResult<Item> | Promise<IteratorResult<Item>>;
      try {
        result = this.#group.within(() => this.#next());
      } catch (error) {
        this.#fail(error);
        break;
      }
      if (result instanceof Promise) return void this.#await(result);
      this.#accept(result);
    }
    this.#isPulling = false;
  }

  async #await(result: Promise<IteratorResult<Item>>): Promise<void> {
    try {
      this.#accept(await result);
    } catch (error) {
      this.#fail(error);
    }
    this.#isPulling = false;
    this.#pull();
  }

  #next(): IteratorResult<Item> | Promise<IteratorResult<Item>> {
    if (Symbol.asyncIterator in this.#source) {
      this.#iterator ??= this.#source[Symbol.asyncIterator]();
      return Promise.resolve(this.#iterator.next());
    }
    const iterator = this.#iterator ?? this.#source[Symbol.iterator]();
    this.#iterator = iterator;
    return iterator.next();
  }

  #accept(result: IteratorResult<Item>): void {
    if (result.done) {
      this.#isExhausted = true;
      this.#wake();
    } else if (!this.#group.isOver) this.#begin({ index: this.#taken++, item: result.value, outcome: undefined });
  }

  #begin(held: Held<Item, T>): void {
    this.#held++;
    if (this.#isInOrder) this.#queue.push(held);
    this.#group.submit<T>(
      (call) => this.#work(held.item, call),
      (outcome) => {
        held.outcome = outcome;
        if (!this.#isInOrder) this.#queue.push(held);
        if (outcome.status === 'not-started' && isWarmpathError(outcome.reason, 'WP_CLOSED'))
          this.#group.leave(outcome.reason);
        if (this.#group.isLate) this.#group.expire();
        this.#wake();
      },
    );
  }

  #fail(error: unknown): void {
    this.#isExhausted = true;
    this.#failure ??= { error };
    this.#wake();
  }

  #take(): ItemOutcome<Item, T> | undefined {
    const [first] = this.#queue;
    if (first?.outcome === undefined) return undefined;
    const { index, item, outcome } = first;
    this.#queue.shift();
    this.#held--;
    return { index, item, outcome };
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /** However the iteration ends: nothing goes on, and a source that has more is told. */
  async #leave(): Promise<void> {
    this.#group.end('aborted', new DOMException('The iteration was left.', { name: 'AbortError' }));
    this.#queue.length = 0;
    if (this.#isExhausted) return;
    const returned = Promise.resolve(this.#iterator?.return?.());
    // A source that is asked for an item may answer never, and what it says now has no other reader.
    if (this.#isPulling) returned.then(undefined, () => {});
    else await returned;
  }
}

function isSource(value: unknown): boolean {
  const source = Object(value);
  return typeof source[Symbol.asyncIterator] === 'function' || typeof source[Symbol.iterator] === 'function';
}
