import { randomUUID } from 'node:crypto';
import type { Clock } from '../kernel/index.js';
import type { ResponseStoreCalls, StoredResponse } from './http-cache-store-calls.js';

const namespace = 'http-responses';

/** URLs that wait to be forgotten, at most; beyond, everything is. */
const mostUnsettled = 1_000;

/** What all requests share. */
export class Shelf {
  readonly calls: ResponseStoreCalls;
  readonly maxBytes: number;
  readonly clock: Clock;
  readonly counts = { found: 0, missed: 0, kept: 0 };
  /** Tags whose invalidation the store has not confirmed; `'all'` when they are too many to be told apart. */
  #unsettled: Set<string> | 'all' = new Set();
  #settling: Promise<void> | undefined;

  constructor(calls: ResponseStoreCalls, maxBytes: number, clock: Clock) {
    this.calls = calls;
    this.maxBytes = maxBytes;
    this.clock = clock;
  }

  /** Holds for every `read` from now on. undici asks for the same several times in a row, which is one call. */
  forget(tag: string): void {
    if (this.#unsettled !== 'all') this.#unsettled.add(tag);
    if (this.#unsettled !== 'all' && this.#unsettled.size > mostUnsettled) this.#unsettled = 'all';
    this.calls.write(() => Promise.resolve().then(() => this.#settle()));
  }

  #settle(): Promise<void> {
    this.#settling ??= this.#invalidate().finally(() => {
      this.#settling = undefined;
    });
    return this.#settling;
  }

  /** Goes on until there is nothing more to tell, also of what came meanwhile, or the store fails. */
  async #invalidate(): Promise<void> {
    while (this.#unsettled === 'all' || this.#unsettled.size > 0) {
      const tags = this.#unsettled === 'all' ? 'all' : [...this.#unsettled];
      const invalidation = tags === 'all' ? ({ type: 'clear' } as const) : ({ type: 'tags', tags } as const);
      const done = await this.calls.attempt(async (store, signal) => {
        await store.invalidate({ namespace, invalidation, signal });
        return true;
      });
      if (!done) return;
      if (tags === 'all') this.#unsettled = new Set();
      else if (this.#unsettled !== 'all') for (const tag of tags) this.#unsettled.delete(tag);
    }
  }

  /** Undefined when the store has not answered, or has something that it has not forgotten yet. */
  async read(key: string, tags: readonly string[]): Promise<Read | undefined> {
    if (this.#covers(tags)) await this.#settle();
    if (this.#covers(tags)) return undefined;
    return this.calls.attempt(async (store, signal) => {
      const { entries, fence } = await store.getMany({ namespace, keys: [key], tags, signal });
      const [entry] = entries;
      if (typeof entry === 'object') return { stored: entry, fence };
      const request = { namespace, keys: [key], fence, token: randomUUID(), signal };
      return { stored: undefined, fence: store.leasing ? (await store.leasing.acquire(request)).fence : fence };
    });
  }

  #covers(tags: readonly string[]): boolean {
    const unsettled = this.#unsettled;
    return unsettled === 'all' || tags.some((tag) => unsettled.has(tag));
  }

  keep(entries: readonly { readonly key: string; readonly entry: StoredResponse; readonly fence: unknown }[]): void {
    this.calls.write(async () => {
      const [isKept] =
        (await this.calls.attempt((store, signal) => store.setMany({ namespace, entries, signal }))) ?? [];
      if (isKept) this.counts.kept++;
    });
  }
}

export interface Read {
  readonly stored: StoredResponse | undefined;
  /** To store with what is asked for now: it is refused if it was invalidated meanwhile. */
  readonly fence: unknown;
}
