import { deepStrictEqual, fail, ok, strictEqual } from 'node:assert/strict';
import type { CacheStore, Fence, Invalidation, StoreAnswer, StoredEntry, StoreLeases } from '../cache/index.js';
import type { Clock } from '../kernel/index.js';

/** How a group of cases states one: a name that reads as a promise, and what must not throw. */
export type DeclarePromise = (name: string, keep: (store: StoreProbe) => Promise<void>) => void;

export type DeclarePairPromise = (name: string, keep: (first: StoreProbe, second: StoreProbe) => Promise<void>) => void;

export type Damage = (place: { store: CacheStore; namespace: string; key: string }) => unknown;

/** What a case of the contract may say of an entry; its value is a text. */
export interface Sample {
  readonly tags?: readonly string[];
  readonly fence?: Fence;
  readonly keptMs?: number;
}

export interface LeaseSample {
  readonly token?: string;
  readonly fence?: Fence;
  readonly tags?: readonly string[];
}

/** A store as the cases of its contract use it: in one namespace, with texts for values. */
export class StoreProbe {
  readonly store: CacheStore;
  readonly #clock: Clock;
  readonly #namespace: string;

  constructor(store: CacheStore, clock: Clock, namespace = 'contract') {
    this.store = store;
    this.#clock = clock;
    this.#namespace = namespace;
  }

  get namespace(): string {
    return this.#namespace;
  }

  in(namespace: string): StoreProbe {
    return new StoreProbe(this.store, this.#clock, namespace);
  }

  /** Times with fractions, since a cache's clock has them. */
  entryOf(text: string, { tags = [], keptMs = 60_000.5 }: Sample = {}): StoredEntry {
    const storedAt = this.#clock.wall() + 0.25;
    const keptUntil = storedAt + keptMs;
    return { bytes: Buffer.from(text), storedAt, freshUntil: storedAt + keptMs / 2, keptUntil, computeMs: 12.5, tags };
  }

  async read(keys: readonly string[], tags: readonly string[] = []): Promise<StoreAnswer> {
    const answer = await this.store.getMany({ namespace: this.#namespace, keys, tags, signal: unaborted() });
    strictEqual(answer.entries.length, keys.length, 'one answer for each key');
    return answer;
  }

  async get(key: string, tags?: readonly string[]): Promise<StoredEntry | undefined> {
    const [entry] = (await this.read([key], tags)).entries;
    return entry === 'unreadable' ? fail(`what is under '${key.slice(0, 40)}' is unreadable`) : entry;
  }

  async texts(keys: readonly string[], tags?: readonly string[]): Promise<(string | undefined)[]> {
    const { entries } = await this.read(keys, tags);
    return entries.map((entry) => (entry === undefined || entry === 'unreadable' ? entry : textOf(entry)));
  }

  async text(key: string): Promise<string | undefined> {
    return (await this.texts([key]))[0];
  }

  /** What a computation begins with; of a store with leases one that has asked for them. */
  async fence(keys: readonly string[], tags?: readonly string[]): Promise<Fence> {
    const { fence } = await this.read(keys, tags);
    return this.hasLeases ? (await this.lease(keys, { fence })).fence : fence;
  }

  get hasLeases(): boolean {
    return this.store.leasing !== undefined;
  }

  /** Asks for leases by what is read now, or was before. */
  async lease(keys: readonly string[], { token = newToken(), fence, tags }: LeaseSample = {}): Promise<StoreLeases> {
    const seen = fence ?? (await this.read(keys, tags)).fence;
    const request = { namespace: this.#namespace, keys, fence: seen, token, signal: unaborted() };
    const leases = await this.store.leasing?.acquire(request);
    ok(leases, 'the store has leases');
    strictEqual(leases.outcomes.length, keys.length, 'one outcome for each key');
    ok(leases.ttlMs > 0, 'a lease lasts for a while');
    return leases;
  }

  /** What has become of the lease of one key, an entry as its text. */
  async outcome(key: string, sample?: LeaseSample): Promise<string | undefined> {
    const [outcome] = (await this.lease([key], sample)).outcomes;
    return outcome === undefined || typeof outcome === 'string' ? outcome : `entry: ${textOf(outcome)}`;
  }

  async renew(keys: readonly string[], token: string): Promise<void> {
    await this.store.leasing?.renew({ namespace: this.#namespace, keys, token, signal: unaborted() });
  }

  async release(keys: readonly string[], token: string): Promise<void> {
    await this.store.leasing?.release({ namespace: this.#namespace, keys, token, signal: unaborted() });
  }

  async write(
    entries: readonly { readonly key: string; readonly entry: StoredEntry; readonly fence?: Fence }[],
  ): Promise<readonly boolean[]> {
    const writes = entries.map(({ key, entry, fence }) => ({ key, entry, fence }));
    const stored = await this.store.setMany({ namespace: this.#namespace, entries: writes, signal: unaborted() });
    strictEqual(stored.length, entries.length, 'one answer for each entry');
    for (const each of stored) strictEqual(typeof each, 'boolean');
    return stored;
  }

  /** @returns whether it was stored */
  async set(key: string, text: string, sample: Sample = {}): Promise<boolean> {
    const [isStored] = await this.write([{ key, entry: this.entryOf(text, sample), fence: sample.fence }]);
    return isStored === true;
  }

  async invalidate(invalidation: Invalidation): Promise<void> {
    await this.store.invalidate({ namespace: this.#namespace, invalidation, signal: unaborted() });
  }

  delete(...keys: readonly string[]): Promise<void> {
    return this.invalidate({ type: 'delete', keys });
  }

  expire(...keys: readonly string[]): Promise<void> {
    return this.invalidate({ type: 'expire', keys });
  }

  invalidateTags(...tags: readonly string[]): Promise<void> {
    return this.invalidate({ type: 'tags', tags });
  }

  clear(): Promise<void> {
    return this.invalidate({ type: 'clear' });
  }

  /** Expired entries may be there, to stand in. */
  async holdsNothingFresh(key: string, why: string): Promise<void> {
    const entry = await this.get(key);
    ok(entry === undefined || entry.freshUntil === 0, `${why}: '${entry && textOf(entry)}' is served`);
  }
}

export function sameEntry(actual: StoredEntry | undefined, expected: StoredEntry): void {
  ok(actual, 'there is an entry');
  ok(Buffer.from(expected.bytes).equals(actual.bytes), 'the bytes are the same');
  const { bytes: _, ...found } = actual;
  const { bytes: __, ...wanted } = expected;
  deepStrictEqual({ ...found, tags: [...found.tags] }, { ...wanted, tags: [...wanted.tags] });
}

export function textOf({ bytes }: StoredEntry): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
}

let tokens = 0;

export function newToken(): string {
  return `token-${++tokens}`;
}

function unaborted(): AbortSignal {
  return new AbortController().signal;
}
