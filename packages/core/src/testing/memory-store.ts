import type {
  CacheStore,
  Invalidation,
  StoredEntry,
  StoreFeed,
  StoreLeases,
  StoreLeasing,
  StoreStreaming,
} from '../cache/index.js';
import { type Clock, systemClock } from '../kernel/index.js';
import { memoryStreams } from './memory-streams.js';

/** A store in this process's memory. */
export interface MemoryStore extends CacheStore {
  readonly leasing: StoreLeasing;
  readonly streaming: StoreStreaming;
  /** A second store over the same data, as another process would have. */
  peer(name?: string): MemoryStore;
}

export interface MemoryStoreOptions {
  /** Default `'memory'`. */
  readonly name?: string;
  /** For leases and streams alone. Default: the system's. */
  readonly clock?: Clock;
}

interface Told {
  readonly by: MemoryStore;
  readonly namespace: string;
  readonly invalidation: Invalidation;
}

interface Lease {
  readonly token: string;
  readonly until: number;
  /** How much was told when it was granted: it is void once more has been that covers its key. */
  readonly told: number;
}

interface Watch {
  readonly place: string;
  readonly onChange: () => void;
}

interface Shelf {
  readonly streams: ReturnType<typeof memoryStreams>;
  readonly clock: Clock;
  readonly entries: Map<string, { readonly entry: StoredEntry; readonly write: number }>;
  readonly leases: Map<string, Lease>;
  readonly watches: Set<Watch>;
  /** Everything that was ever invalidated; a feed is a place in it. */
  readonly told: Told[];
  /** How much was ever written. */
  writes: number;
}

/** How much had been told and written when the store was asked, and which tags are in question. */
class Seen {
  readonly told: number;
  readonly writes: number;
  readonly tags: readonly string[];

  constructor({ told, writes }: Shelf, tags: readonly string[]) {
    this.told = told.length;
    this.writes = writes;
    this.tags = tags;
  }
}

const leaseTtlMs = 5_000;

/**
 * The simplest store that keeps the whole contract, for tests and as a model for stores of one's own. It never forgets what
 * was invalidated and looks at all of its entries to find those with a tag, so it is for little data.
 */
export function memoryStore({ name = 'memory', clock = systemClock }: MemoryStoreOptions = {}): MemoryStore {
  const streams = memoryStreams(clock, leaseTtlMs);
  return over({ clock, streams, entries: new Map(), leases: new Map(), watches: new Set(), told: [], writes: 0 }, name);
}

function over(shelf: Shelf, name: string): MemoryStore {
  const { entries, told } = shelf;
  const store: MemoryStore = {
    name,
    async getMany({ namespace, keys, tags }) {
      const found = keys.map((key) => entries.get(placeOf(namespace, key))?.entry);
      const allTags = [...tags, ...found.flatMap((entry) => entry?.tags ?? [])];
      return { entries: found, fence: new Seen(shelf, allTags) };
    },
    async setMany({ namespace, entries: writes }) {
      return writes.map(({ key, entry, fence }) => {
        const since = told.slice(fence instanceof Seen ? fence.told : told.length);
        if (since.some((each) => each.namespace === namespace && covers(each.invalidation, key, entry.tags)))
          return false;
        // A copy: what its caller does with the bytes afterwards is not what was set.
        const copy = { ...entry, bytes: Uint8Array.from(entry.bytes), tags: [...entry.tags] };
        entries.set(placeOf(namespace, key), { entry: copy, write: ++shelf.writes });
        return true;
      });
    },
    async invalidate({ namespace, invalidation }) {
      told.push({ by: store, namespace, invalidation });
      invalidate(shelf, namespace, invalidation);
    },
    leasing: leasingOf(shelf),
    streaming: streamingOf(shelf),
    openFeed: (namespace) => feedOf(shelf, store, namespace),
    peer: (peerName = name) => over(shelf, peerName),
  };
  return store;
}

function leasingOf(shelf: Shelf): StoreLeasing {
  const { clock, entries, leases, told } = shelf;
  const isHeld = (namespace: string, key: string, token: string, tags: readonly string[]): boolean => {
    const lease = leases.get(placeOf(namespace, key));
    if (!lease || lease.token === token || clock.now() >= lease.until) return false;
    const since = told.slice(lease.told).filter((each) => each.namespace === namespace);
    return !since.some(({ invalidation }) => covers(invalidation, key, tags));
  };
  return {
    async acquire({ namespace, keys, fence, token }): Promise<StoreLeases> {
      const seen = fence instanceof Seen ? fence : new Seen(shelf, []);
      const outcomes = keys.map((key) => {
        const place = placeOf(namespace, key);
        const found = entries.get(place);
        if (found && found.write > seen.writes) return found.entry;
        if (isHeld(namespace, key, token, seen.tags)) return 'held';
        leases.set(place, { token, until: clock.now() + leaseTtlMs, told: told.length });
        return 'granted';
      });
      return { outcomes, fence: new Seen(shelf, seen.tags), ttlMs: leaseTtlMs };
    },
    async renew({ namespace, keys, token }) {
      for (const place of keys.map((key) => placeOf(namespace, key))) {
        const lease = leases.get(place);
        if (lease?.token !== token || clock.now() >= lease.until) continue;
        leases.set(place, { ...lease, until: clock.now() + leaseTtlMs });
      }
    },
    async release({ namespace, keys, token }) {
      for (const place of keys.map((key) => placeOf(namespace, key))) {
        if (leases.get(place)?.token !== token) continue;
        leases.delete(place);
        wake(shelf, place);
      }
    },
  };
}

function streamingOf(shelf: Shelf): StoreStreaming {
  const { clock, leases, streams } = shelf;
  const placeIn = ({ namespace, key }: { readonly namespace: string; readonly key: string }): string =>
    placeOf(namespace, key);
  return {
    async holder(of) {
      const lease = leases.get(placeIn(of));
      return lease && clock.now() < lease.until ? lease.token : undefined;
    },
    async append(append) {
      return streams.append(append, () => wake(shelf, placeIn(append)));
    },
    async read(read) {
      return streams.read(read, () => wake(shelf, placeIn(read)));
    },
  };
}

function wake({ watches }: Shelf, place: string): void {
  for (const watch of [...watches]) if (watch.place === place) watch.onChange();
}

function feedOf({ told, watches }: Shelf, reader: MemoryStore, namespace: string): StoreFeed {
  let at = told.length;
  let isClosed = false;
  return {
    poll() {
      if (isClosed) return undefined;
      const news = told.slice(at).filter((each) => each.by !== reader && each.namespace === namespace);
      at = told.length;
      return news.length > 0 ? news.map(({ invalidation }) => invalidation) : undefined;
    },
    watch(key, onChange) {
      const watch = { place: placeOf(namespace, key), onChange };
      watches.add(watch);
      return () => watches.delete(watch);
    },
    close() {
      isClosed = true;
    },
  };
}

function invalidate({ entries, leases, watches }: Shelf, namespace: string, invalidation: Invalidation): void {
  const rules = (place: string, tags: readonly string[]): boolean => {
    const key = keyIn(namespace, place);
    return key !== undefined && covers(invalidation, key, tags);
  };
  for (const [place, { entry, write }] of entries) {
    if (!rules(place, entry.tags)) continue;
    if (invalidation.type === 'expire') entries.set(place, { entry: { ...entry, freshUntil: 0 }, write });
    else entries.delete(place);
  }
  for (const place of leases.keys()) if (rules(place, [])) leases.delete(place);
  for (const { place, onChange } of watches) if (rules(place, [])) onChange();
}

function covers(invalidation: Invalidation, key: string, tags: readonly string[]): boolean {
  if (invalidation.type === 'clear') return true;
  if (invalidation.type === 'tags') return invalidation.tags.some((tag) => tags.includes(tag));
  return invalidation.keys.includes(key);
}

/** The length keeps 'a' with key 'b:c' apart from 'a:b' with key 'c'. */
function placeOf(namespace: string, key: string): string {
  return `${namespace.length}:${namespace}:${key}`;
}

function keyIn(namespace: string, place: string): string | undefined {
  const prefix = placeOf(namespace, '');
  return place.startsWith(prefix) ? place.slice(prefix.length) : undefined;
}
