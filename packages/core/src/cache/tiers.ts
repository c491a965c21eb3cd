import { coarseNow } from '../kernel/index.js';
import { type Entry, type Lifetime, newEntry } from './entry.js';
import type { UnstoredReason } from './events.js';
import { Invalidations } from './invalidations.js';
import { copyOf, keep } from './isolation/isolation.js';
import { type MemoryEntry, MemoryTier } from './memory/memory-tier.js';
import type { ResolvedCacheOptions } from './options.js';
import { type Place, placeOf } from './place.js';
import type { Reports } from './reports.js';
import type { Fence, Invalidation } from './store.js';
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
}

export interface NewValue {
  readonly place: Place;
  readonly value: unknown;
  readonly lifetime: Lifetime;
}

/** What became of a new value. */
interface Made {
  readonly place: Place;
  readonly entry: Entry;
  /** Whether the store is told of it. */
  readonly isWritten: boolean;
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
  readonly #hasFeed: boolean;
  readonly #invalidations = new Invalidations();
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
    this.#hasFeed = this.#store?.hasFeed ?? false;
  }

  get hasStore(): boolean {
    return this.#store !== undefined;
  }

  /** The present of invalidations: what begins now is ruled by those that come. */
  get sequence(): number {
    return this.#invalidations.sequence;
  }

  /** What memory holds and is fresh; counts as use. This is the way of every hit. */
  hit(tenant: string | undefined, text: string): MemoryEntry | undefined {
    if (this.#hasFeed) this.catchUp();
    const entry = this.#memory.get(tenant, text);
    if (entry === undefined || this.now() >= entry.freshUntil) return undefined;
    if (entry.fence !== this.#invalidations.sequence && !this.#isRight(entry)) return undefined;
    this.#memory.use(entry);
    return entry;
  }

  /** What memory holds, be it fresh or kept to stand in. */
  kept(place: Place): MemoryEntry | undefined {
    const entry = this.#memory.get(place.tenant, place.text);
    if (entry === undefined || !this.#isRight(entry)) return undefined;
    if (this.#options.clock.now() < Math.max(entry.freshUntil, entry.keptUntil)) return entry;
    this.#memory.remove(entry);
    return undefined;
  }

  /** What the store holds, promoted to memory, without what was invalidated while it was asked. */
  async read(places: readonly Place[], tags: readonly string[]): Promise<Found> {
    const { sequence } = this.#invalidations;
    const answer = await this.#store?.read(places, tags);
    if (!answer) return { sequence, fence: undefined, entries: places.map(() => undefined) };
    const entries = places.map((place, index) => {
      const stored = answer.stored[index];
      return stored && this.#adopt(place, stored, sequence);
    });
    return { sequence, fence: { of: answer.fence }, entries };
  }

  /** Keeps values where they can be, and says so where they cannot. @returns what is handed out, in their order */
  keep(values: readonly NewValue[], beginning: Beginning): Entry[] {
    return this.#keep(values, beginning).map(({ entry }) => entry);
  }

  /**
   * Keeps values that are right whatever was there before: that leaves the memory and the store in any case, also where
   * its successor has no copy, is too large or lives for no time.
   */
  async replace(values: readonly NewValue[]): Promise<void> {
    for (const { place } of values) {
      this.#memory.delete(place.tenant, place.text);
      if (this.#store) this.#invalidations.add([place.id]);
    }
    const wanted = values.filter(({ lifetime }) => lifetime.freshMs > 0);
    const kept = this.#keep(wanted, { sequence: this.sequence, fence: { of: undefined } });
    const written = new Set(kept.filter(({ isWritten }) => isWritten).map(({ place }) => place));
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
    if (this.#store && this.#invalidations.hasTouched([place.id], since)) return false;
    return !this.#invalidations.hasTouched(tags, since);
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
      entry.freshUntil = Number.NEGATIVE_INFINITY;
      entry.fence = this.sequence; // it is known to have been expired, and stays
    }
    return deferred;
  }

  invalidateTags(tags: readonly string[]): Promise<boolean> {
    this.#invalidations.add(tags);
    return this.#tell({ type: 'tags', tags }, tags.length);
  }

  clear(): Promise<boolean> {
    this.#forgetAll();
    return this.#tell({ type: 'clear' }, 1);
  }

  /** What others have invalidated since this was last asked holds from here on. */
  catchUp(): void {
    const news = this.#store?.poll();
    if (news === undefined) return;
    for (const each of news === 'gap' ? (['gap'] as const) : news) {
      if (each === 'gap' || each.type === 'clear') {
        this.#forgetAll();
        this.#reports.invalidated(each === 'gap' ? 'gap' : 'clear', 1, { foreign: true, deferred: false });
        continue;
      }
      const names = each.type === 'tags' ? each.tags : each.keys;
      this.#invalidations.add(names);
      this.#reports.invalidated(each.type, names.length, { foreign: true, deferred: false });
    }
  }

  /** Resolves when no write to the store is waited for any more. */
  async close(): Promise<void> {
    await this.#store?.close();
  }

  async #invalidate(type: 'delete' | 'expire', places: readonly Place[]): Promise<boolean> {
    if (!this.#store) return this.#tell(undefined, 1, type);
    const keys = places.map(({ id }) => id);
    this.#invalidations.add(keys);
    return this.#tell({ type, keys }, 1);
  }

  async #tell(invalidation: Invalidation | undefined, count: number, type = invalidation?.type): Promise<boolean> {
    const deferred = invalidation !== undefined && ((await this.#store?.invalidate(invalidation)) ?? false);
    if (type) this.#reports.invalidated(type, count, { foreign: false, deferred });
    return deferred;
  }

  #forgetAll(): void {
    this.#memory.clear();
    this.#invalidations.addAll();
  }

  /** Whether nothing that rules an entry was invalidated since it was last found right. One that is not is dropped. */
  #isRight(entry: MemoryEntry): boolean {
    const { sequence } = this.#invalidations;
    if (entry.fence === sequence) return true;
    const isTouched =
      (entry.tags !== undefined && this.#invalidations.hasTouched(entry.tags, entry.fence)) ||
      (entry.id !== undefined && this.#invalidations.hasTouched([entry.id], entry.fence));
    if (isTouched) this.#memory.remove(entry);
    else entry.fence = sequence;
    return !isTouched;
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
    if (known) {
      const aheadMs = known.storedAt - entry.storedAt; // memory keeps whole milliseconds
      if (aheadMs > 1 || (aheadMs >= -1 && known.freshUntil + 1 >= entry.freshUntil)) return known;
    }
    return this.#remember(place, entry, kept.bytes, since) ?? entry;
  }

  #keep(values: readonly NewValue[], { sequence, fence }: Beginning): Made[] {
    const { isolation, clock } = this.#options;
    const made = values.map(({ place, value, lifetime }) => {
      const kept = keep(value, isolation);
      const entry = newEntry(kept, value, clock.now(), lifetime);
      const inMemory = kept && this.#remember(place, entry, kept.bytes, sequence);
      return { place, entry: inMemory ?? entry, isData: kept !== undefined, isInMemory: inMemory !== undefined };
    });
    const data = made.filter(({ isData }) => isData);
    const areWritten = fence ? this.#store?.write(data, fence.of) : undefined;
    const written = new Set(data.filter((_, index) => areWritten?.[index]));
    return made.map((each) => {
      const { place, entry, isData, isInMemory } = each;
      const isWritten = written.has(each);
      if (isInMemory || isWritten) this.#reports.audit('write', place, 'kept');
      else this.unstored(place, isData ? 'too-large' : 'not-cloneable');
      return { place, entry, isWritten };
    });
  }

  #remember(place: Place, entry: Entry, valueBytes: number, fence: number): MemoryEntry | undefined {
    // Others name entries by their ids; only then is one worth its bytes.
    const id = this.#hasFeed ? place.id : undefined;
    return this.#memory.set(place.tenant, place.text, { ...entry, valueBytes, fence, id });
  }
}
