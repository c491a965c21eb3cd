import { deserialize, serialize } from 'node:v8';
import type { CacheStore, StoredEntry } from '../store.js';

/** What we use of a Keyv instance; Keyv 5 and 6 both have it, and so has anything shaped like them. */
export interface KeyvLike {
  get(key: string): Promise<unknown>;
  set(key: string, value: string, ttlMs?: number): Promise<unknown>;
  delete(key: string): Promise<unknown>;
}

/** Changes when the form of what is written changes; text of another version is a miss. */
const version = 'wp1:';

/**
 * Any Keyv store as the cache's second tier. Values keep their types (Date, Map, typed arrays, bigint, undefined),
 * whatever the adapter's own serialisation can carry: they travel as one string of base64.
 */
export function keyvStore(keyv: KeyvLike, { name = 'keyv' }: { name?: string } = {}): CacheStore {
  return {
    name,
    async get(key) {
      const text = await keyv.get(key);
      return typeof text === 'string' ? decode(text) : undefined;
    },
    async set(key, entry, ttlMs) {
      await keyv.set(key, version + serialize(entry).toString('base64'), Math.max(1, Math.ceil(ttlMs)));
    },
    async delete(key) {
      await keyv.delete(key);
    },
  };
}

function decode(text: string): StoredEntry | undefined {
  if (!text.startsWith(version)) return undefined;
  try {
    const entry: unknown = deserialize(Buffer.from(text.slice(version.length), 'base64'));
    return isEntry(entry) ? entry : undefined;
  } catch {
    return undefined; // cut short or written by something else: a miss, as the contract says
  }
}

function isEntry(entry: unknown): entry is StoredEntry {
  if (typeof entry !== 'object' || entry === null) return false;
  const { storedAt, expiresAt, computeMs } = entry as Partial<StoredEntry>;
  return [storedAt, expiresAt, computeMs].every(Number.isFinite) && 'value' in entry;
}
