import { packEntry } from '../../envelope.js';
import type { StoreWrite } from '../../store.js';
import type { Invalidator } from './invalidator.js';
import { newGeneration } from './random-text.js';
import { mostTags, packRecord } from './record.js';
import { RedisFence } from './redis-fence.js';
import { generationMs, type Marks, markerMs, markTags, type RedisSpace } from './redis-space.js';
import { claimScript, commitScript } from './scripts.js';
import type { Versions } from './versions.js';

interface Write {
  readonly key: string;
  readonly packed: Uint8Array;
  readonly keepMs: number;
  readonly tags: readonly string[];
  /** Undefined for a value that is new by itself. */
  readonly fence: unknown;
}

interface Commit {
  readonly key: string;
  /** Under which it may be stored. */
  readonly generation: string;
  readonly keepMs: number;
  readonly record: Buffer;
}

/** So far ahead nothing needs to be kept; beyond, Redis runs out of digits. */
const longestMs = 10 * 365 * 86_400_000;

/** What comes into the store, each value only if it is still right. */
export class EntryWriter {
  readonly #space: RedisSpace;
  readonly #invalidator: Invalidator;

  constructor(space: RedisSpace, invalidator: Invalidator) {
    this.#space = space;
    this.#invalidator = invalidator;
  }

  async setMany({ entries, signal }: Omit<StoreWrite, 'namespace'>): Promise<readonly boolean[]> {
    const now = this.#space.clock.wall();
    // Packed at once: what the caller does with the bytes afterwards is not what was set.
    const writes = entries.map(({ key, entry, fence }): Write => {
      const keepMs = Math.min(Math.max(1, Math.ceil(entry.keptUntil - now)), longestMs);
      return { key, packed: packEntry(entry), keepMs, tags: entry.tags, fence };
    });
    signal.throwIfAborted();
    if (writes.length === 0) return [];
    const set = [...new Set(writes.flatMap(({ key, fence }) => (fence === undefined ? [key] : [])))];
    const [marks, claims] = await Promise.all([this.#mark(writes, signal), this.#claim(set, signal)]);
    // Of two entries of one key the last one that may be stored is.
    const commits = new Map<string, Commit>();
    const isAllowed = writes.map((write) => {
      const commit = this.#commitOf(write, marks, claims);
      if (commit) commits.set(write.key, commit);
      return commit !== undefined;
    });
    const stored = await this.#commit(commits, signal);
    if (set.length > 0) await this.#invalidator.publish({ type: 'delete', keys: set }, signal);
    return writes.map(({ key }, index) => isAllowed[index] === true && stored.has(key));
  }

  /** The versions as they are now; from now on each tag has a number that outlives what is stored. */
  async #mark(writes: readonly Write[], signal: AbortSignal): Promise<Marks> {
    const tags = [...new Set(writes.flatMap((write) => write.tags))];
    const keepMs = markerMs + writes.reduce((longest, { keepMs }) => Math.max(longest, keepMs), 0);
    return markTags(this.#space, tags, keepMs, signal);
  }

  async #claim(keys: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
    const { keys: names, random } = this.#space;
    const claims = new Map(keys.map((key) => [key, newGeneration(random)]));
    const part = {
      names: (key: string) => [names.entry(key), names.generation(key), names.lease(key)],
      first: [`${generationMs}`],
      args: (key: string) => [claims.get(key) ?? ''],
    };
    await this.#space.runForKeys(claimScript, keys, part, signal);
    return claims;
  }

  /** Undefined where it may not be stored: something that rules it was invalidated, or nobody knows. */
  #commitOf(write: Write, marks: Marks, claims: ReadonlyMap<string, string>): Commit | undefined {
    const { key, packed, keepMs, fence } = write;
    const { versions } = marks;
    if (write.tags.length > mostTags) return undefined;
    const tags = write.tags.map((tag) => marks.tags.get(tag) ?? versions.seq);
    const generation = fence === undefined ? claims.get(key) : generationUnder(fence, key, versions, tags);
    if (generation === undefined) return undefined;
    const rulers = { epoch: versions.epoch, clear: versions.clear, tags };
    return { key, generation, keepMs, record: packRecord(newGeneration(this.#space.random), rulers, packed) };
  }

  /** @returns the keys whose generation was still what it has to be */
  async #commit(commits: ReadonlyMap<string, Commit>, signal: AbortSignal): Promise<ReadonlySet<string>> {
    const { keys: names } = this.#space;
    const keys = [...commits.keys()];
    const part = {
      names: (key: string) => [names.entry(key), names.generation(key)],
      args: (key: string) => {
        const commit = commits.get(key);
        return commit ? [commit.generation, `${commit.keepMs}`, commit.record] : [];
      },
    };
    const answers = await this.#space.runForKeys(commitScript, keys, part, signal);
    return new Set(keys.filter((_, index) => answers[index] === 1));
  }
}

function generationUnder(fence: unknown, key: string, versions: Versions, tags: readonly number[]): string | undefined {
  if (!(fence instanceof RedisFence) || !fence.allows(versions, tags)) return undefined;
  return fence.known(key)?.generation;
}
