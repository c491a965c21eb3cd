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
  readonly tags: Set<string>;
  readonly answer: Promise<StoreAnswer | undefined>;
}

/** Reads that begin in one turn of the event loop are one: they share its round trip, its deadline and its outcome. */
export class ReadBatch {
  readonly #ask: (keys: readonly string[], tags: readonly string[]) => Promise<StoreAnswer | undefined>;
  #open: Batch | undefined;

  constructor(ask: (keys: readonly string[], tags: readonly string[]) => Promise<StoreAnswer | undefined>) {
    this.#ask = ask;
  }

  async read(keys: readonly string[], tags: readonly string[]): Promise<BatchedAnswer | undefined> {
    const batch = this.#open ?? this.#begin();
    const from = batch.keys.length;
    for (const key of keys) batch.keys.push(key);
    for (const tag of tags) batch.tags.add(tag);
    if (batch.keys.length >= mostKeysAtOnce) this.#open = undefined;
    const answer = await batch.answer;
    return answer && { answer, from };
  }

  #begin(): Batch {
    const keys: string[] = [];
    const tags = new Set<string>();
    const flush = (): Promise<StoreAnswer | undefined> => {
      if (this.#open === batch) this.#open = undefined;
      return this.#ask(keys, [...tags]);
    };
    const batch: Batch = { keys, tags, answer: Promise.resolve().then(flush) };
    this.#open = batch;
    return batch;
  }
}
