import { Readable } from 'node:stream';
import { badOption, checkOptions, isWarmpathError } from '../kernel/index.js';
import type { IterateOptions } from './contract.js';
import { Group, type Groups } from './group.js';
import { callerOf, iterateRules, type Terms, termsOf } from './options.js';
import type { ItemOutcome } from './outcome.js';
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
  return { [Symbol.asyncIterator]: () => new Iteration(groups, usual, source, work, options).iterator() };
}

/** One pass through a source. What was taken is held until its outcome has been given out. */
class Iteration<Item, T> {
  readonly #group: Group;
  readonly #source: Source<Item>;
  readonly #work: ItemWork<Item, T>;
  readonly #window: number;
  readonly #isInOrder: boolean;
  /** What can be given out, by its turn: its place in the source, or among those that are done. */
  readonly #ready = new Map<number, ItemOutcome<Item, T>>();
  #iterator: Iterator<Item> | AsyncIterator<Item> | undefined;
  /** How many items were taken from the source, have an outcome, and have been given out. */
  #taken = 0;
  #done = 0;
  #given = 0;
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

  /** Its `return` aborts what runs even while an outcome is awaited. (A generator alone would first wait for that one.) */
  iterator(): AsyncIterator<ItemOutcome<Item, T>, void, undefined> {
    const outcomes = this.#outcomes();
    return {
      next: () => outcomes.next(),
      return: () => {
        this.#abort();
        this.#wake();
        return outcomes.return();
      },
    };
  }

  async *#outcomes(): AsyncGenerator<ItemOutcome<Item, T>, void, undefined> {
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
    return this.#isExhausted || this.#failure !== undefined || this.#group.isOver;
  }

  get #held(): number {
    return this.#taken - this.#given;
  }

  /** Takes items while they can begin or wait for a place. */
  #pull(): void {
    if (this.#isPulling) return;
    this.#isPulling = true;
    while (!this.#isAtEnd && this.#held < this.#window && this.#group.hasRoom) {
      try {
        const result = this.#group.within(() => this.#next());
        if (result instanceof Promise) return void this.#await(result);
        this.#accept(result);
      } catch (error) {
        this.#fail(error); // also of a source whose results are none: this may be the end of another task
      }
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
    if (isAsync(this.#source)) {
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
    } else if (!this.#group.isOver) this.#begin(result.value);
  }

  #begin(item: Item): void {
    const index = this.#taken++;
    this.#group.submit<T>(
      (call) => this.#work(item, call),
      (outcome) => {
        const turn = this.#isInOrder ? index : this.#done;
        this.#done++;
        this.#ready.set(turn, { index, item, outcome });
        // The others would fare no better, and an endless source would be used up.
        if (outcome.status === 'not-started' && isRefusal(outcome.reason)) this.#failure ??= { error: outcome.reason };
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
    const ready = this.#ready.get(this.#given);
    if (ready !== undefined) this.#ready.delete(this.#given++);
    return ready;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #abort(): void {
    this.#group.end('aborted', new DOMException('The iteration was left.', { name: 'AbortError' }));
  }

  /** However the iteration ends: nothing goes on, and a source that has more is told. */
  async #leave(): Promise<void> {
    this.#abort();
    this.#ready.clear();
    if (this.#isExhausted) return;
    const returned = (async () => this.#iterator?.return?.())();
    // A source that is asked for an item may answer never, and no source keeps the error back that the iteration ends with.
    if (!this.#isPulling && this.#failure === undefined) {
      await returned;
      return;
    }
    returned.catch(() => {}); // has no other reader
    // A stream that is asked for a chunk hears of `return` with its next one, and would stay open until then.
    if (this.#isPulling && this.#source instanceof Readable) this.#source.destroy();
  }
}

function isAsync<Item>(source: Source<Item>): source is AsyncIterable<Item> {
  return typeof (source as Partial<AsyncIterable<Item>>)[Symbol.asyncIterator] === 'function';
}

function isSource(value: unknown): boolean {
  const source = Object(value);
  return typeof source[Symbol.asyncIterator] === 'function' || typeof source[Symbol.iterator] === 'function';
}

/** The executor takes no task. */
function isRefusal(reason: Error): boolean {
  return isWarmpathError(reason, 'WP_CLOSED') || isWarmpathError(reason, 'WP_OVERLOADED');
}
