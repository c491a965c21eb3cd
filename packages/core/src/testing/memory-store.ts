import type { CacheStore, Invalidation, StoredEntry, StoreFeed } from '../cache/index.js';

/** A store in this process's memory. */
export interface MemoryStore extends CacheStore {
  /** A second store over the same data, as another process would have. */
  peer(name?: string): MemoryStore;
}

interface Told {
  readonly by: MemoryStore;
  readonly namespace: string;
  readonly invalidation: Invalidation;
}

interface Shelf {
  readonly entries: Map<string, StoredEntry>;
  /** Everything that was ever invalidated; a fence is how long this was, a feed is a place in it. */
  readonly told: Told[];
}

/**
 * The simplest store that keeps the whole contract, for tests and as a model for stores of one's own. It never forgets what
 * was invalidated and looks at all of its entries to find those with a tag, so it is for little data.
 */
export function memoryStore(name = 'memory'): MemoryStore {
  return over({ entries: new Map(), told: [] }, name);
}

function over(shelf: Shelf, name: string): MemoryStore {
  const { entries, told } = shelf;
  const store: MemoryStore = {
    name,
    async getMany({ namespace, keys }) {
      return { entries: keys.map((key) => entries.get(placeOf(namespace, key))), fence: told.length };
    },
    async setMany({ namespace, entries: writes }) {
      return writes.map(({ key, entry, fence }) => {
        const since = told.slice(typeof fence === 'number' ? fence : told.length);
        if (since.some((each) => each.namespace === namespace && covers(each.invalidation, key, entry))) return false;
        // A copy: what its caller does with the bytes afterwards is not what was set.
        entries.set(placeOf(namespace, key), { ...entry, bytes: Uint8Array.from(entry.bytes), tags: [...entry.tags] });
        return true;
      });
    },
    async invalidate({ namespace, invalidation }) {
      told.push({ by: store, namespace, invalidation });
      invalidate(entries, namespace, invalidation);
    },
    openFeed: (namespace) => feedOf(shelf, store, namespace),
    peer: (peerName = name) => over(shelf, peerName),
  };
  return store;
}

function feedOf({ told }: Shelf, reader: MemoryStore, namespace: string): StoreFeed {
  let at = told.length;
  let isClosed = false;
  return {
    poll() {
      if (isClosed) return undefined;
      const news = told.slice(at).filter((each) => each.by !== reader && each.namespace === namespace);
      at = told.length;
      return news.length > 0 ? news.map(({ invalidation }) => invalidation) : undefined;
    },
    close() {
      isClosed = true;
    },
  };
}

function invalidate(entries: Map<string, StoredEntry>, namespace: string, invalidation: Invalidation): void {
  for (const [place, entry] of entries) {
    const key = keyIn(namespace, place);
    if (key === undefined || !covers(invalidation, key, entry)) continue;
    if (invalidation.type === 'expire') entries.set(place, { ...entry, freshUntil: 0 });
    else entries.delete(place);
  }
}

function covers(invalidation: Invalidation, key: string, { tags }: StoredEntry): boolean {
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
