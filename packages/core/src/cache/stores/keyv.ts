import { deserialize, serialize } from 'node:v8';
import { crc32 } from 'node:zlib';
import { badOption, rule } from '../../kernel/index.js';
import type { CacheStore, StoredEntry } from '../store.js';

/** What we use of a Keyv instance; Keyv 5 and 6 both have it, and so has anything shaped like them. */
export interface KeyvLike {
  get(key: string): Promise<unknown>;
  set(key: string, value: string, ttlMs?: number): Promise<unknown>;
  delete(key: string): Promise<unknown>;
  on?(event: 'error', listener: (error: unknown) => void): unknown;
}

/** Changes when the form of what is written changes; text of another version is a miss. */
const version = 'wp1:';

const keyvLike = rule.withMethods('a Keyv instance', 'get', 'set', 'delete');

/**
 * Any Keyv store as the cache's second tier. Values keep their types (Date, Map, typed arrays, bigint, undefined),
 * whatever the adapter's own serialisation can carry: they travel as one string of base64.
 * @throws WarmpathError `WP_BAD_OPTION`
 */
export function keyvStore(keyv: KeyvLike, { name = 'keyv' }: { name?: string } = {}): CacheStore {
  if (!keyvLike.allows(keyv)) throw badOption('keyvStore()', 'keyv', keyvLike.text, keyv);
  if (!rule.text.allows(name)) throw badOption('keyvStore()', 'name', rule.text.text, name);
  // An adapter that loses its connection says so through this event; unheard, it would end the process and stay away.
  keyv.on?.('error', () => {}); // the calls that fail are reported by the cache
  return {
    name,
    async get(key) {
      const text = await keyv.get(key);
      return typeof text === 'string' ? decode(text) : undefined;
    },
    async set(key, entry, ttlMs) {
      await keyv.set(key, encode(entry), Math.max(1, Math.ceil(ttlMs)));
    },
    async delete(key) {
      await keyv.delete(key);
    },
  };
}

/** Version, checksum, entry: a damaged entry may well be readable, and would be served as another value. */
function encode(entry: StoredEntry): string {
  const bytes = serialize(entry);
  return version + checksum(bytes) + bytes.toString('base64');
}

function decode(text: string): StoredEntry | undefined {
  if (!text.startsWith(version)) return undefined;
  const bytesAt = version.length + checksumLength;
  const bytes = Buffer.from(text.slice(bytesAt), 'base64');
  if (text.slice(version.length, bytesAt) !== checksum(bytes)) return undefined;
  try {
    const entry: unknown = deserialize(bytes);
    return isEntry(entry) ? entry : undefined;
  } catch {
    return undefined; // written by something else, or by a later runtime: a miss, as the contract says
  }
}

const checksumLength = 8;

function checksum(bytes: Buffer): string {
  return crc32(bytes).toString(16).padStart(checksumLength, '0');
}

function isEntry(entry: unknown): entry is StoredEntry {
  if (typeof entry !== 'object' || entry === null) return false;
  const { storedAt, expiresAt, computeMs } = entry as Partial<StoredEntry>;
  return [storedAt, expiresAt, computeMs].every(Number.isFinite) && 'value' in entry;
}
