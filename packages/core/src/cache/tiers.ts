import { coarseNow } from '../kernel/index.js';
import { Coherence } from './coherence.js';
import { type Entry, type Lifetime, newEntry } from './entry.js';
import type { UnstoredReason } from './events.js';
import { copyOf, keep } from './isolation/isolation.js';
import { type MemoryEntry, MemoryTier } from './memory/memory-tier.js';
import type { ResolvedCacheOptions } from './options.js';
import { type Place, placeOf } from './place.js';
import type { Reports } from './reports.js';
import type { Fence, Invalidation } from './store.js';
import type { StreamCalls } from './store-guard/stream-calls.js';
import { type Stored, StoreTier } from './store-tier.js';

/** When something began: the sequence of invalidations then, and what the store knew of them. */
export interface Beginning {
  readonly sequence: number;
  /** Undefined when the store did not say: what began then cannot be fenced there, and is not written. */
  readonly fence: { readonly of: Fence } | undefined;
}

export interface Found extends Beginning {
  /** In the order of the places. */
  readonly entries: readonly (Entry | undefined)[];
  /** Where they come from: from memory when the store does not answer, and it is good enough then. */
  readonly level: 'memory' | 'store';
}

export interface Leased extends Beginning {
  /** In the order of the places: who computes it, or what the store has by now; undefined: ask again. */
  readonly outcomes: readonly ('granted' | 'held' | Entry | undefined)[];
  readonly ttlMs: number;
}

export interface NewValue {
  readonly place: Place;
  readonly value: unknown;
  readonly lifetime: Lifetime;
}

/** What became of new values. */
interface Made {
  readonly place: Place;
  readonly entry: Entry;
  /** Whether the store is told of it. */
  readonly isWritten: boolean;
}

export interface KeptValues {
  /** What is handed out, in the order of the values. */
  readonly entries: readonly Entry[];
  /** When the store has them, or does not take them; undefined when it is not told. */
  readonly written: Promise<void> | undefined;
}

/** What one reader gets of an entry. */
export function servedValue(entry: Pick<Entry, 'value' | 'isShareable'>): unknown {
  return entry.isShareable ? entry.value : copyOf(entry.value);
}

/** Memory before the store: what they hold, what is put into them, and what is no longer right in either. */
export class Tiers {
  readonly #options: ResolvedCacheOptions;
  readonly #reports: Reports;
  readonly #memory: MemoryTier;
  readonly #store: StoreTier | undefined;
  readonly #coherence: Coherence;
  /** The time of hits: see `coarseNow` for how far behind it can be. */
  readonly now: () => number;

  constructor(options: ResolvedCacheOptions, reports: Reports) {
    this.#options = options;
    this.#reports = reports;
    this.now = coarseNow(options.clock);
    this.#memory = new MemoryTier({
      maxEntries: options.maxEntries,
      maxBytes: options.maxBytes,
      maxBytesPerTenant: options.maxBytesPerTenant,
      eviction: options.eviction,
      onEvict: (entry, reason) => {
        if (reports.isHeard) reports.evicted(placeOf(entry.tenant, entry.key), reason, entry.bytes);
      },
    });
    this.#store = options.store && new StoreTier(options, options.store, reports);
    this.#coherence = new Coherence({
      store: this.#store,
      staleWindowMs: options.staleWindowMs,
      now: this.now,
      onNews: (news) => this.#onNews(news),
    });
  }

  get hasStore(): boolean {
    return this.#store !== undefined;
  }

  /** Whether the store can say who computes what. */
  get hasLeases(): boolean {
    return this.#options.store?.leasing !== undefined;
  }

  /** Streams under way that others follow, or produce; undefined where nobody else sees them. */
  get streams(): StreamCalls | undefined {
    return this.#store?.streams;
  }

  /** The present of invalidations: what begins now is ruled by those that come. */
  get sequence(): number {
    return this.#coherence.sequence;
  }

  /** What memory holds and is fresh; counts as use. This is the way of every hit. */
  hit(tenant: string | undefined, text: string): MemoryEntry | undefined {
    this.#coherence.catchUp();
    const entry = this.#memory.get(tenant, text);
    if (entry === undefined || this.now() >= entry.freshUntil) return undefined;
    if ((entry.fence !== this.#coherence.sequence || this.#coherence.isSilent) && !this.#isServed(entry))
      return undefined;
    this.#memory.use(entry);
    return entry;
  }

  /** What memory holds and may be served, be it fresh or kept to stand in. */
  kept(place: Place): MemoryEntry | undefined {
    const entry = this.#held(place);
    return entry && this.#isServed(entry) ? entry : undefined;
  }

  /** What the store holds, promoted to memory, without what was invalidated while it was asked. */
  async read(places: readonly Place[], tags: readonly string[]): Promise<Found> {
    const { sequence } = this.#coherence;
    const answer = await this.#store?.read(places, tags);
    if (!answer) {
      const entries = places.map((place) => this.#withoutStore(place));
      return { sequence, fence: undefined, entries, level: 'memory' };
    }
    const entries = places.map((place, index) => this.#compare(place, answer.stored[index], sequence));
    return { sequence, fence: { of: answer.fence }, entries, level: 'store' };
  }

  /** Who computes these places, among all who share the store; undefined when it does not say. */
  async acquire(
    places: readonly Place[],
    { fence }: Beginning,
    token: string,
    timeoutMs: number,
  ): Promise<Leased | undefined> {
    const { sequence } = this.#coherence;
    const leases = fence && (await this.#store?.acquire(places, fence.of, token, timeoutMs));
    if (!leases) return undefined;
    const outcomes = places.map((place, index) => {
      const outcome = leases.outcomes[index];
      return typeof outcome === 'object' ? this.#compare(place, outcome, sequence) : outcome;
    });
    return { sequence, fence: { of: leases.fence }, outcomes, ttlMs: leases.ttlMs };
  }

  renew(places: readonly Place[], token: string): void {
    this.#store?.renew(places, token);
  }

  release(places: readonly Place[], token: string): void {
    this.#store?.release(places, token);
  }

  /** Calls when another look at the store may be worth it. @returns how to end it */
  watch(place: Place, onChange: () => void): (() => void) | undefined {
    return this.#store?.watch(place, onChange);
  }

  /** Keeps values where they can be, and says so where they cannot. */
  keep(values: readonly NewValue[], beginning: Beginning): KeptValues {
    const { made, written } = this.#keep(values, beginning);
    return { entries: made.map(({ entry }) => entry), written };
  }

  /**
   * Keeps values that are right whatever was there before: that leaves the memory and the store in any case, also where
   * its successor has no copy, is too large or lives for no time.
   */
  async replace(values: readonly NewValue[]): Promise<void> {
    for (const { place } of values) {
      this.#memory.delete(place.tenant, place.text);
      if (this.#store) this.#coherence.add([place.id]);
    }
    const wanted = values.filter(({ lifetime }) => lifetime.freshMs > 0);
    const { made } = this.#keep(wanted, { sequence: this.sequence, fence: { of: undefined } });
    const written = new Set(made.filter(({ isWritten }) => isWritten).map(({ place }) => place));
    for (const { place, lifetime } of values) if (lifetime.freshMs === 0) this.unstored(place, 'not-wanted');
    const gone = values.filter(({ place }) => !written.has(place)).map(({ place }) => place.id);
    if (this.#store && gone.length > 0) await this.#store.invalidate({ type: 'delete', keys: gone });
  }

  /** What those who wait get of a value that is not kept: they are isolated from each other all the same. */
  handOut({ place, value, lifetime }: NewValue, reason: UnstoredReason): Entry {
    this.unstored(place, reason);
    return newEntry(keep(value, this.#options.isolation), value, this.#options.clock.now(), lifetime);
  }

  unstored(place: Place, reason: UnstoredReason): void {
    this.#reports.unstored(place, reason);
    this.#reports.audit('write', place, 'refused');
  }

  /** Whether nothing that rules a value was invalidated since it began. */
  isUntouched(place: Place, tags: readonly string[], since: number): boolean {
    return this.#coherence.isUntouched(this.#store ? [place.id, ...tags] : tags, since);
  }

  /** @param places those of one key. @returns whether it is deferred */
  delete(places: readonly Place[]): Promise<boolean> {
    for (const { tenant, text } of places) this.#memory.delete(tenant, text);
    return this.#invalidate('delete', places);
  }

  /** `delete`, but what may stand in is kept. */
  expire(places: readonly Place[]): Promise<boolean> {
    const standIns = places.flatMap((place) => this.kept(place) ?? []);
    const deferred = this.#invalidate('expire', places);
    for (const entry of standIns) {
      if (!this.#coherence.isCertain(entry.fence)) continue;
      entry.freshUntil = Number.NEGATIVE_INFINITY;
      entry.fence = this.sequence; // it is known to have been expired, and stays
    }
    return deferred;
  }

  invalidateTags(tags: readonly string[]): Promise<boolean> {
    this.#coherence.add(tags);
    return this.#tell({ type: 'tags', tags }, tags.length);
  }

  clear(): Promise<boolean> {
    this.#memory.clear();
    this.#coherence.addAll();
    return this.#tell({ type: 'clear' }, 1);
  }

  /** What others have invalidated since this was last asked holds from here on. */
  catchUp(): void {
    this.#coherence.catchUp();
  }

  /** Resolves when no write to the store is waited for any more. */
  async close(): Promise<void> {
    await this.#store?.close();
  }

  async #invalidate(type: 'delete' | 'expire', places: readonly Place[]): Promise<boolean> {
    if (!this.#store) return this.#tell(undefined, 1, type);
    const keys = places.map(({ id }) => id);
    this.#coherence.add(keys);
    return this.#tell({ type, keys }, 1);
  }

  async #tell(invalidation: Invalidation | undefined, count: number, type = invalidation?.type): Promise<boolean> {
    const deferred = invalidation !== undefined && ((await this.#store?.invalidate(invalidation)) ?? false);
    if (type) this.#reports.invalidated(type, count, { foreign: false, deferred });
    return deferred;
  }

  #onNews(news: Invalidation | 'gap'): void {
    const by = news === 'gap' ? news : news.type;
    if (by === 'clear') this.#memory.clear();
    this.#reports.invalidated(by, countOf(news), { foreign: true, deferred: false });
  }

  /** What memory holds, right or not, until its time is over. */
  #held(place: Place): MemoryEntry | undefined {
    const entry = this.#memory.get(place.tenant, place.text);
    if (entry === undefined || this.#options.clock.now() < Math.max(entry.freshUntil, entry.keptUntil)) return entry;
    this.#memory.remove(entry);
    return undefined;
  }

  /** What is known to be wrong is dropped. What is suspect has to be confirmed by the store, unless it is away. */
  #isServed(entry: MemoryEntry): boolean {
    if (this.#coherence.isSilent && !this.#coherence.isRecent(entry)) return false;
    const verdict = this.#coherence.judge(entry);
    if (verdict === 'wrong') this.#memory.remove(entry);
    if (verdict === 'suspect') return this.#store?.isAway === true && this.#coherence.isTrusted(entry);
    return verdict === 'right';
  }

  /** What is suspect goes on being served when the store cannot be asked. */
  #withoutStore(place: Place): Entry | undefined {
    const entry = this.#held(place);
    if (!entry || this.#coherence.judge(entry) !== 'suspect') return undefined;
    const isServed = this.#coherence.isSilent ? this.#coherence.isRecent(entry) : this.#coherence.isTrusted(entry);
    return isServed ? entry : undefined;
  }

  /** What the store has, promoted to memory; what memory had and the store does not confirm is dropped. */
  #compare(place: Place, stored: Stored | undefined, since: number): Entry | undefined {
    const entry = stored && this.#adopt(place, stored, since);
    const held = this.#held(place);
    if (held && held !== entry && !this.#coherence.isCertain(held.fence)) this.#memory.remove(held);
    return entry;
  }

  #adopt(place: Place, stored: Stored, since: number): Entry | undefined {
    const kept = keep(stored.value, this.#options.isolation);
    if (!kept || !this.isUntouched(place, stored.tags, since)) return undefined;
    const entry: Entry = {
      value: kept.value,
      isShareable: kept.isShareable,
      storedAt: stored.storedAt,
      freshUntil: stored.freshUntil,
      keptUntil: stored.keptUntil,
      computeMs: stored.computeMs,
      tags: stored.tags.length > 0 ? stored.tags : undefined,
    };
    // Computed here meanwhile, or the same: then it is known here as well whether its computation has failed.
    const known = this.kept(place);
    if (known && this.#coherence.isCertain(known.fence)) {
      const aheadMs = known.storedAt - entry.storedAt; // memory keeps whole milliseconds
      if (aheadMs > 1 || (aheadMs >= -1 && known.freshUntil + 1 >= entry.freshUntil)) return known;
    }
    return this.#remember(place, entry, kept.bytes, since) ?? entry;
  }

  #keep(
    values: readonly NewValue[],
    { sequence, fence }: Beginning,
  ): { readonly made: readonly Made[]; readonly written: Promise<void> | undefined } {
    const { isolation, clock } = this.#options;
    const handled = values.map(({ place, value, lifetime }) => {
      const kept = keep(value, isolation);
      const entry = newEntry(kept, value, clock.now(), lifetime);
      const inMemory = kept && this.#remember(place, entry, kept.bytes, sequence);
      return { place, entry: inMemory ?? entry, isData: kept !== undefined, isInMemory: inMemory !== undefined };
    });
    const data = handled.filter(({ isData }) => isData);
    const writing = fence ? this.#store?.write(data, fence.of) : undefined;
    const written = new Set(data.filter((_, index) => writing?.canBe[index]));
    const made = handled.map((each) => {
      const { place, entry, isData, isInMemory } = each;
      const isWritten = written.has(each);
      if (isInMemory || isWritten) this.#reports.audit('write', place, 'kept');
      else this.unstored(place, isData ? 'too-large' : 'not-cloneable');
      return { place, entry, isWritten };
    });
    return { made, written: writing?.written };
  }

  #remember(place: Place, entry: Entry, valueBytes: number, fence: number): MemoryEntry | undefined {
    // Others name entries by their ids; only then is one worth its bytes.
    const id = this.#store?.hasFeed ? place.id : undefined;
    return this.#memory.set(place.tenant, place.text, { ...entry, valueBytes, fence, id });
  }
}

function countOf(news: Invalidation | 'gap'): number {
  if (news === 'gap' || news.type === 'clear') return 1;
  return news.type === 'tags' ? news.tags.length : news.keys.length;
}
