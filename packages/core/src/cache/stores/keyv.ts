import {
  ambientRules,
  badOption,
  type Clock,
  checkOptions,
  type Rules,
  rule,
  systemClock,
} from '../../kernel/index.js';
import type { CacheStore, StoreAnswer, StoredEntry, StoreInvalidation, StoreRead, StoreWrite } from '../store.js';
import { KeyvCalls, type KeyvLike, type KeyvText } from './keyv-calls.js';
import { KeyvMarkers, markersAmong } from './keyv-markers.js';
import { type KeyvRecord, keyvKey, readRecord, recordText } from './keyv-texts.js';

export type { KeyvLike } from './keyv-calls.js';

export interface KeyvStoreOptions {
  /** What events call it. Default `'keyv'`. */
  readonly name?: string;
  readonly clock?: Clock;
}

const keyvLike = rule.withMethods('a Keyv instance', 'get', 'set', 'delete');
const optionRules: Rules<KeyvStoreOptions> = { name: rule.text, clock: ambientRules.clock };

/**
 * Any Keyv (5.6 or later) as the second tier of a cache. Entries travel as text, whatever the adapter's own serialisation
 * can carry; the tags and the namespace of an entry are ruled by markers, small texts under keys of their own.
 *
 * A Keyv has no compare-and-set. Promised all the same, whoever else uses the store, as far as a read of the Keyv sees
 * what was written before it: what was invalidated by a tag or cleared is never served again, nor is a value whose
 * computation began before that. Not promised: that a deletion or expiry of a key by another process holds against a
 * value that was being computed or written, or an expiry that was under way, at the time. What such a write brings back is
 * served until its own time is over (`keptUntil`) or it is invalidated again. Within one process the cache sees to that.
 *
 * Costs in round trips: a read one, two where it finds entries with tags that it was not told of; a write two, three where
 * a value has tags that were not known before it was computed; each one more where a marker is new. A value with such
 * tags is not kept if any tag of its namespace was invalidated meanwhile. Markers live for 30 days (those of the
 * namespace: a year) or twice as long as the longest entry, whichever is more; the end of one is the end of what it rules.
 *
 * Errors that the Keyv only emits reject all the same: each write under way, and each read that finds nothing.
 * @throws WarmpathError `WP_BAD_OPTION`
 */
export function keyvStore(keyv: KeyvLike, options: KeyvStoreOptions = {}): CacheStore {
  if (!keyvLike.allows(keyv)) throw badOption('keyvStore()', 'keyv', keyvLike.text, keyv);
  checkOptions('keyvStore()', options, optionRules);
  const { name = 'keyv', clock = systemClock } = options;
  return new KeyvStore(name, new KeyvCalls(keyv, name), clock);
}

/** Markers by their keys, as they were before a computation began. */
class Seen {
  readonly markers: ReadonlyMap<string, number>;

  constructor(markers: ReadonlyMap<string, number>) {
    this.markers = markers;
  }
}

/** A value with what it takes to say whether it may still be stored. */
interface Candidate {
  readonly key: string;
  readonly entry: StoredEntry;
  /** The keys of the markers that rule it. */
  readonly ruledBy: readonly string[];
  /** What is known from before its computation; nothing of a value that is new by itself. */
  readonly seen: ReadonlyMap<string, number> | undefined;
  /** It was given to us with what another store knew. */
  readonly isForeign: boolean;
}

/** So far ahead nothing needs to be kept; beyond, adapters run out of digits. */
const longestEntryMs = 10 * 365 * 86_400_000;

class KeyvStore implements CacheStore {
  readonly name: string;
  readonly #calls: KeyvCalls;
  readonly #markers: KeyvMarkers;
  readonly #clock: Clock;

  constructor(name: string, calls: KeyvCalls, clock: Clock) {
    this.name = name;
    this.#calls = calls;
    this.#markers = new KeyvMarkers(calls);
    this.#clock = clock;
  }

  async getMany({ namespace, keys, tags, signal }: StoreRead): Promise<StoreAnswer> {
    signal.throwIfAborted();
    const entryKeys = keys.map((key) => keyvKey('e', namespace, key));
    const [ruler, others] = [keyvKey('n', namespace), [keyvKey('a', namespace), ...tagKeys(namespace, tags)]];
    const values = await this.#calls.getMany([...entryKeys, ruler, ...others]);
    const known = markersAmong([ruler, ...others], values.slice(keys.length));
    const records = entryKeys.map((key, index) => readRecord(key, values[index]));
    const found = records.flatMap((record) => {
      if (!isRecord(record) || record.markers[0] !== known.get(ruler)) return [];
      return tagKeys(namespace, record.entry.tags).filter((key) => !known.has(key));
    });
    await Promise.all([
      this.#markers.complete(known, [ruler], signal),
      // A store that is full is read all the same: to the fence, a tag that got no marker is one that was not known.
      this.#markers.complete(known, others, signal).catch(() => {}),
    ]);
    for (const [key, marker] of await this.#markers.read([...new Set(found)])) known.set(key, marker);
    const entries = records.map((record) => {
      if (!isRecord(record)) return record;
      const present = rulersOf(namespace, record.entry).map((key) => known.get(key));
      return record.markers.every((marker, index) => marker === present[index]) ? record.entry : undefined;
    });
    return { entries, fence: new Seen(known) };
  }

  async setMany({ namespace, entries, signal }: StoreWrite): Promise<readonly boolean[]> {
    signal.throwIfAborted();
    const candidates = entries.map(({ key, entry, fence }): Candidate => {
      const seen = fence instanceof Seen ? fence.markers : undefined;
      const ruledBy = rulersOf(namespace, entry);
      return { key: keyvKey('e', namespace, key), entry, ruledBy, seen, isForeign: fence !== undefined && !seen };
    });
    const rulers = [...new Set(candidates.flatMap(({ ruledBy }) => ruledBy))];
    const present = await this.#markers.read(rulers);
    await this.#markers.complete(present, rulers, signal);
    const isStored = await this.#judge(namespace, candidates, present);
    // Two entries of one key in one call: the last one that may be stored is.
    const texts = new Map<string, KeyvText>();
    for (const [index, { key, entry, ruledBy }] of candidates.entries()) {
      if (!isStored[index]) continue;
      texts.set(key, this.#textOf(key, { entry, markers: ruledBy.flatMap((ruler) => present.get(ruler) ?? []) }));
    }
    signal.throwIfAborted();
    await this.#calls.setMany([...texts.values()]);
    return isStored;
  }

  /** Goes on when nobody waits for it any more: an invalidation that comes late is better than none. */
  async invalidate({ namespace, invalidation }: StoreInvalidation): Promise<void> {
    switch (invalidation.type) {
      case 'delete':
        return this.#calls.deleteMany([...new Set(invalidation.keys.map((key) => keyvKey('e', namespace, key)))]);
      case 'expire':
        return this.#expire([...new Set(invalidation.keys.map((key) => keyvKey('e', namespace, key)))]);
      case 'tags':
        if (invalidation.tags.length === 0) return;
        // First the marker of all tags: `#judge` reads it last, so it cannot see one of the others new and this one old.
        await this.#markers.replace([keyvKey('a', namespace)]);
        return this.#markers.replace([...new Set(tagKeys(namespace, invalidation.tags))]);
      case 'clear':
        return this.#markers.replace([keyvKey('n', namespace)]);
    }
  }

  /** Which of them may be stored: those with nothing that rules them replaced since it was seen. */
  async #judge(
    namespace: string,
    candidates: readonly Candidate[],
    present: ReadonlyMap<string, number>,
  ): Promise<boolean[]> {
    const allTags = keyvKey('a', namespace);
    const isSurprising = ({ seen, ruledBy }: Candidate): boolean =>
      seen !== undefined && ruledBy.some((key) => !seen.has(key));
    const last = candidates.some(isSurprising) ? (await this.#markers.read([allTags])).get(allTags) : undefined;
    return candidates.map((candidate) => {
      const { seen, ruledBy, isForeign } = candidate;
      if (isForeign) return false;
      if (!seen) return true;
      if (isSurprising(candidate) && (last === undefined || last !== seen.get(allTags))) return false;
      return ruledBy.every((key) => !seen.has(key) || seen.get(key) === present.get(key));
    });
  }

  async #expire(keys: readonly string[]): Promise<void> {
    const values = await this.#calls.getMany(keys);
    const texts = keys.flatMap((key, index) => {
      const record = readRecord(key, values[index]);
      return isRecord(record) ? [this.#textOf(key, { ...record, entry: { ...record.entry, freshUntil: 0 } })] : [];
    });
    await this.#calls.setMany(texts);
  }

  #textOf(key: string, record: KeyvRecord): KeyvText {
    const leftMs = Math.ceil(record.entry.keptUntil - this.#clock.wall());
    const ttl = Math.min(Math.max(leftMs, 1), longestEntryMs);
    this.#markers.rulesFor(ttl);
    return { key, value: recordText(key, record), ttl };
  }
}

function isRecord(record: KeyvRecord | 'unreadable' | undefined): record is KeyvRecord {
  return record !== undefined && record !== 'unreadable';
}

function tagKeys(namespace: string, tags: readonly string[]): string[] {
  return tags.map((tag) => keyvKey('t', namespace, tag));
}

function rulersOf(namespace: string, { tags }: StoredEntry): string[] {
  return [keyvKey('n', namespace), ...tagKeys(namespace, tags)];
}
