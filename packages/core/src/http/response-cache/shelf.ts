import { randomUUID } from 'node:crypto';
import type { Clock } from '../../kernel/index.js';
import type { ResponseStoreCalls, StoredResponse } from './store-calls.js';

const namespace = 'http-responses';

/** More writes than that at a time would only fill the memory: what is above is not kept. */
const mostWrites = 100;

/** Tags that wait to be told, at most; where there are more, everything is forgotten. */
const mostUntold = 1_000;

type Tags = ReadonlySet<string> | 'all';

function both(left: Tags, right: Tags): Tags {
  if (left === 'all' || right === 'all') return 'all';
  const tags = new Set([...left, ...right]);
  return tags.size > mostUntold ? 'all' : tags;
}

function covers(tags: Tags, tag: string): boolean {
  return tags === 'all' || tags.has(tag);
}

/** What all requests share. */
export class Shelf {
  readonly calls: ResponseStoreCalls;
  readonly maxBytes: number;
  readonly clock: Clock;
  readonly counts = { found: 0, missed: 0, kept: 0 };
  /** Tags that the store is yet to be told to forget. */
  #untold: Tags = new Set();
  /** Those that it is being told, where it is. */
  #telling: Tags = new Set();
  #round: Promise<boolean> | undefined;

  constructor(calls: ResponseStoreCalls, maxBytes: number, clock: Clock) {
    this.calls = calls;
    this.maxBytes = maxBytes;
    this.clock = clock;
  }

  /** Holds for every `read` from now on. undici asks for the same several times in a row, which is one call. */
  forget(tag: string): void {
    this.#untold = both(this.#untold, new Set([tag]));
    this.calls.write(async () => {
      await Promise.resolve();
      while (await this.#tell());
    });
  }

  /** One call to the store at a time, which all wait for. @returns whether it went well and there is more to tell */
  #tell(): Promise<boolean> {
    this.#round ??= this.#tellOnce().finally(() => {
      this.#round = undefined;
    });
    return this.#round;
  }

  async #tellOnce(): Promise<boolean> {
    const tags = this.#untold;
    if (tags !== 'all' && tags.size === 0) return false;
    this.#telling = tags;
    this.#untold = new Set();
    const invalidation = tags === 'all' ? ({ type: 'clear' } as const) : ({ type: 'tags', tags: [...tags] } as const);
    const isDone = await this.calls.attempt(async (store, signal) => {
      await store.invalidate({ namespace, invalidation, signal });
      return true;
    });
    this.#telling = new Set();
    if (!isDone) this.#untold = both(tags, this.#untold);
    return isDone === true;
  }

  /**
   * Undefined when the store has not answered, or has something that it has not forgotten yet.
   * @param isFenced whether what it does not have is to be stored with the fence
   */
  async read(key: string, tags: readonly string[], isFenced: boolean): Promise<Read | undefined> {
    if (this.#isForgotten(tags)) await this.#tell();
    if (this.#isForgotten(tags)) return undefined;
    return this.calls.attempt(async (store, signal) => {
      const { entries, fence } = await store.getMany({ namespace, keys: [key], tags, signal });
      const [entry] = entries;
      const stored = typeof entry === 'object' ? entry : undefined;
      if (stored || !isFenced || !store.leasing) return { stored, fence };
      const leased = await store.leasing.acquire({ namespace, keys: [key], fence, token: randomUUID(), signal });
      return { stored, fence: leased.fence };
    });
  }

  #isForgotten(tags: readonly string[]): boolean {
    return tags.some((tag) => covers(this.#untold, tag) || covers(this.#telling, tag));
  }

  keep(entries: readonly { readonly key: string; readonly entry: StoredResponse; readonly fence: unknown }[]): void {
    if (this.calls.writes >= mostWrites) return;
    this.calls.write(async () => {
      const kept = await this.calls.attempt((store, signal) => store.setMany({ namespace, entries, signal }), false);
      if (kept?.every(Boolean)) this.counts.kept++;
    });
  }
}

export interface Read {
  readonly stored: StoredResponse | undefined;
  /** To store with what is asked for now: it is refused if it was invalidated meanwhile. */
  readonly fence: unknown;
}
