import { type Clock, linkAbort, untilAborted } from '../kernel/index.js';
import type { Entry } from './entry.js';
import { keep } from './isolation/isolation.js';
import type { ResolvedCacheOptions } from './options.js';
import type { Place } from './place.js';
import type { Reports } from './reports.js';
import type { CacheStore, Fence, Invalidation, StoredEntry } from './store.js';
import { type GuardedLeases, StoreGuard, type Write } from './store-guard/store-guard.js';
import type { StreamCalls } from './store-guard/stream-calls.js';
import { isRecording } from './streams/recording.js';

/** What the store has of one place, in terms of this process. */
export type Stored = Pick<Entry, 'value' | 'storedAt' | 'freshUntil' | 'keptUntil' | 'computeMs'> & {
  readonly tags: readonly string[];
};

/** Who computes each place, or what the store has of it by now; undefined where it is worth to ask again. */
export interface TierLeases extends Omit<GuardedLeases, 'outcomes'> {
  readonly outcomes: readonly ('granted' | 'held' | Stored | undefined)[];
}

/** Values in and out of the store: as bytes, on the wall clock, and only those that fit. */
export class StoreTier {
  readonly #options: ResolvedCacheOptions;
  readonly #reports: Reports;
  readonly #guard: StoreGuard;

  constructor(options: ResolvedCacheOptions, store: CacheStore, reports: Reports) {
    this.#options = options;
    this.#reports = reports;
    this.#guard = new StoreGuard({ ...options, store });
  }

  get hasFeed(): boolean {
    return this.#guard.hasFeed;
  }

  get streams(): StreamCalls | undefined {
    return this.#guard.streams;
  }

  /** Undefined when the store does not answer. What it has and cannot be served is said and counts as nothing. */
  async read(
    places: readonly Place[],
    tags: readonly string[],
  ): Promise<{ readonly stored: readonly (Stored | undefined)[]; readonly fence: Fence } | undefined> {
    const answer = await this.#guard.read(idsOf(places), tags);
    if (!answer) return undefined;
    return { stored: await this.#decodeAll(places, answer.entries), fence: answer.fence };
  }

  get isAway(): boolean {
    return this.#guard.isAway;
  }

  get silentMs(): number {
    return this.#guard.silentMs;
  }

  /** Undefined when the store does not say who computes what. */
  async acquire(
    places: readonly Place[],
    fence: Fence,
    token: string,
    timeoutMs: number,
  ): Promise<TierLeases | undefined> {
    const leases = await this.#guard.acquire(idsOf(places), fence, token, timeoutMs);
    if (!leases) return undefined;
    return { ...leases, outcomes: await this.#decodeAll(places, leases.outcomes) };
  }

  renew(places: readonly Place[], token: string): void {
    this.#guard.renew(idsOf(places), token);
  }

  release(places: readonly Place[], token: string): void {
    this.#guard.release(idsOf(places), token);
  }

  watch(place: Place, onChange: () => void): (() => void) | undefined {
    return this.#guard.watch(place.id, onChange);
  }

  /** Writes in the background what can be written. @returns for each whether it can, and when all of it is over */
  write(
    entries: readonly { readonly place: Place; readonly entry: Entry }[],
    fence: Fence,
  ): { readonly canBe: readonly boolean[]; readonly written: Promise<void> | undefined } {
    const writes: Write[] = [];
    const canBe = entries.map(({ place, entry }) => {
      const data = this.#dataOf(entry.value);
      const bytes = data && this.#options.codec.encode(data.value, this.#keyOf(place));
      if (bytes) writes.push({ key: place.id, entry: storedEntry(entry, bytes, this.#options.clock), fence });
      return bytes !== undefined;
    });
    return { canBe, written: this.#guard.write(writes) };
  }

  /** A value that is shared as it is may be more than data, and would silently be written as less than it is. */
  #dataOf(value: unknown): { readonly value: unknown } | undefined {
    return this.#options.isolation === 'shared' ? keep(value, 'copy') : { value };
  }

  /** @returns whether it is deferred */
  invalidate(invalidation: Invalidation): Promise<boolean> {
    return this.#guard.invalidate(invalidation);
  }

  poll(): readonly Invalidation[] | 'gap' | undefined {
    return this.#guard.poll();
  }

  close(): Promise<void> {
    return this.#guard.close();
  }

  /** What is no entry stays what it is. Takes no turn of the event loop unless a schema has to be asked. */
  #decodeAll<T>(
    places: readonly Place[],
    entries: readonly (StoredEntry | 'unreadable' | T)[],
  ): readonly (Stored | T | undefined)[] | Promise<(Stored | T | undefined)[]> {
    const decoded = places.map((place, index) => {
      const entry = entries[index];
      if (entry === 'unreadable') return this.#rejected(place, 'unreadable');
      return isEntry(entry) ? this.#decode(place, entry) : (entry as T);
    });
    return this.#options.schema ? Promise.all(decoded) : (decoded as (Stored | T | undefined)[]);
  }

  #decode(place: Place, entry: StoredEntry): Stored | undefined | Promise<Stored | undefined> {
    const decoded = this.#options.codec.decode(entry.bytes, this.#keyOf(place));
    if ('rejected' in decoded) return this.#rejected(place, decoded.rejected);
    if (!this.#options.schema) return this.#storedOf(entry, decoded.value);
    const { value } = decoded;
    // What a schema knows of a stream is its chunks.
    const checking = isRecording(value)
      ? this.#checked(value.chunks).then((chunks) => chunks && { value: { ...value, chunks: chunks.value } })
      : this.#checked(value);
    return checking.then((checked) =>
      checked ? this.#storedOf(entry, checked.value) : this.#rejected(place, 'schema'),
    );
  }

  #storedOf(entry: StoredEntry, value: unknown): Stored {
    return { value, ...timesHere(entry, this.#options.clock), computeMs: entry.computeMs, tags: entry.tags };
  }

  /** The value as the schema gives it; undefined where it does not fit, or the schema itself fails. */
  async #checked(value: unknown): Promise<{ readonly value: unknown } | undefined> {
    const { schema, clock, storeTimeoutMs, name } = this.#options;
    if (!schema) return { value };
    const deadline = linkAbort({ timeoutMs: storeTimeoutMs, clock, what: `The schema of cache '${name}'` });
    try {
      const result = await untilAborted(Promise.resolve(schema['~standard'].validate(value)), deadline.signal);
      return result.issues ? undefined : { value: result.value };
    } catch {
      return undefined; // it does not fit as far as can be told, and the call goes on without it
    } finally {
      deadline.release();
    }
  }

  #rejected(place: Place, reason: Parameters<Reports['rejected']>[1]): undefined {
    this.#reports.rejected(place, reason);
  }

  /** What an encrypted value is bound to: it cannot be moved to another key or another cache. */
  #keyOf(place: Place): string {
    return `${this.#options.name}:${place.id}`;
  }
}

function idsOf(places: readonly Place[]): string[] {
  return places.map(({ id }) => id);
}

/** Never longer than it was to live at first: wall clocks step back, and those of two machines differ. */
function timesHere(
  { storedAt, freshUntil, keptUntil }: StoredEntry,
  clock: Clock,
): Pick<Entry, 'storedAt' | 'freshUntil' | 'keptUntil'> {
  const [now, wall] = [clock.now(), clock.wall()];
  const here = (until: number): number => now + Math.min(until - wall, until - storedAt);
  return {
    storedAt: now - Math.max(0, wall - storedAt),
    freshUntil: freshUntil === 0 ? Number.NEGATIVE_INFINITY : here(freshUntil),
    keptUntil: here(keptUntil),
  };
}

function storedEntry(entry: Entry, bytes: Uint8Array, clock: Clock): StoredEntry {
  const aheadMs = clock.wall() - clock.now(); // read once: time goes on between two readings, and the order must stay
  const wallOf = (instant: number): number => instant + aheadMs;
  return {
    bytes,
    storedAt: wallOf(entry.storedAt),
    freshUntil: wallOf(entry.freshUntil),
    keptUntil: wallOf(entry.keptUntil),
    computeMs: entry.computeMs,
    tags: entry.tags ?? [],
  };
}

function isEntry(value: unknown): value is StoredEntry {
  return typeof value === 'object' && value !== null;
}
