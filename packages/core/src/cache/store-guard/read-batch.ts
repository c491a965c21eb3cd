import type { StoreAnswer } from '../store.js';

/** More would hold up those who come after them. */
const mostKeysAtOnce = 500;

/** What the store has answered to several, and where the answer for one of them begins. */
export interface BatchedAnswer {
  readonly answer: StoreAnswer;
  readonly from: number;
}

interface Batch {
  readonly keys: string[];
  readonly answer: Promise<StoreAnswer | undefined>;
}

/**
 * Reads with the same tags that begin in one turn of the event loop are one: they share its round trip, its deadline and its
 * outcome. Those with others are not: what rules one of them would seem to rule all.
 */
export class ReadBatch {
  readonly #ask: (keys: readonly string[], tags: readonly string[]) => Promise<StoreAnswer | undefined>;
  readonly #open = new Map<string, Batch>();

  constructor(ask: (keys: readonly string[], tags: readonly string[]) => Promise<StoreAnswer | undefined>) {
    this.#ask = ask;
  }

  async read(keys: readonly string[], tags: readonly string[]): Promise<BatchedAnswer | undefined> {
    const name = tags.length === 0 ? '' : JSON.stringify(tags);
    const batch = this.#open.get(name) ?? this.#begin(name, tags);
    const from = batch.keys.length;
    for (const key of keys) batch.keys.push(key);
    if (batch.keys.length >= mostKeysAtOnce) this.#open.delete(name);
    const answer = await batch.answer;
    return answer && { answer, from };
  }

  #begin(name: string, tags: readonly string[]): Batch {
    const keys: string[] = [];
    const flush = (): Promise<StoreAnswer | undefined> => {
      if (this.#open.get(name) === batch) this.#open.delete(name);
      return this.#ask(keys, tags);
    };
    const batch: Batch = { keys, answer: Promise.resolve().then(flush) };
    this.#open.set(name, batch);
    return batch;
  }
}
