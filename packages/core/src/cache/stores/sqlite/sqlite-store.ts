import {
  ambientRules,
  type ByteSize,
  byteSizeOf,
  type Clock,
  checkOptions,
  type Duration,
  durationMs,
  type Rules,
  rule,
  systemClock,
} from '../../../kernel/index.js';
import { packEntry } from '../../envelope.js';
import type {
  CacheStore,
  Invalidation,
  StoreAnswer,
  StoreFeed,
  StoreInvalidation,
  StoreRead,
  StoreWrite,
} from '../../store.js';
import { DatabaseFile } from './database-file.js';
import { EntryReader } from './entry-reader.js';
import { closedError } from './failures.js';
import { Housekeeping } from './housekeeping.js';
import { InvalidationFeeds } from './invalidation-feed.js';
import { nameOf, textOfName } from './names.js';
import type { Limits, PackedEntry } from './transaction.js';
import { mostWeight, WriteQueue } from './write-queue.js';

export interface SqliteStoreOptions {
  /**
   * The database, created if there is none; its folder must exist, on a local disk. Beside it SQLite keeps `-wal` and
   * `-shm`, and the store an empty `.<name>.lock`. Several processes may use one file.
   */
  readonly file: string;
  /**
   * What the entries may take up: values, keys and what holds them. Above it those go first that are overdue, then those
   * that were not read for long. A value larger than an eighth of it is not kept at all. On the disk it is at most twice
   * that, and 64 MB; the write-ahead log, usually 4 to 8 MB, is never much more than an eighth of it and 64 MB. Default `'1GB'`.
   */
  readonly maxBytes?: ByteSize;
  /**
   * How stale a hit in memory may be when another process has invalidated it. Default 0: feeds ask in every turn of the
   * event loop that has such a hit, which takes about 3 µs. No hit is stale then: what another process has done cannot have
   * been heard of, other than by blocking, before the turn ends.
   */
  readonly coherence?: Duration;
  /** What events call it. Default `'sqlite'`. */
  readonly name?: string;
  readonly clock?: Clock;
}

/** What a file holds, as of one moment. */
export interface SqliteStats {
  /** By namespace, which is the name of the cache. */
  readonly namespaces: Readonly<Record<string, SqliteShare>>;
  /** The sum of them. */
  readonly total: SqliteShare;
  /** What counts against `maxBytes`: the total, and what was cleared and not removed yet. */
  readonly usedBytes: number;
  /** The size of the database on the disk, with its write-ahead log. */
  readonly fileBytes: number;
  /** How many entries had to go since the file was created because there was too much. */
  readonly evicted: number;
  /** How many damaged files this store has set aside since it was opened. */
  readonly setAside: number;
}

export interface SqliteShare {
  readonly entries: number;
  readonly bytes: number;
}

/** A tier in a file: it outlives the process and is shared by all processes that open it. */
export interface SqliteStore extends CacheStore {
  openFeed(namespace: string): StoreFeed;
  /** @throws WarmpathError `WP_CLOSED`; what SQLite says when it cannot be read */
  stats(): SqliteStats;
  /**
   * Removes the entries that are past their `keptUntil`, and what was cleared. It happens in the background as well, once a
   * second. In pieces of some milliseconds, with the event loop in between.
   * @returns how many
   */
  clearExpired(options?: { readonly signal?: AbortSignal }): Promise<number>;
  /** Writes what is queued, empties the write-ahead log, lets go of the file. Idempotent. Later calls are refused. */
  close(): Promise<void>;
}

const optionRules: Rules<SqliteStoreOptions> = {
  file: rule.required(rule.text),
  maxBytes: rule.byteSize,
  coherence: rule.duration,
  name: rule.text,
  clock: ambientRules.clock,
};

/**
 * SQLite (`node:sqlite`) as a tier of a cache.
 *
 * Promised: an entry is served only if nothing that covers it was invalidated since the fence of its computation, by any
 * process; all that was answered survives `kill -9`, also in the middle of a write; no call waits inside of SQLite, not for a
 * process that was stopped in the middle of its own write either. A power failure may take the last writes, invalidations
 * among them, since the log is not forced to the disk each time (`synchronous = NORMAL`).
 *
 * A damaged file is set aside as `<file>.corrupt-<n>` and said so, by a process warning with the code `WARMPATH_SQLITE` and
 * in `stats()`. Until the last process that has it open lets go of it, in a second or so, there is no file: reads find
 * nothing and invalidations wait. The same holds for a file that is deleted while it is in use.
 *
 * Which entries were read is written with the next write or within a second, and of those read in between the first
 * 1,024 count. Eviction gives each entry that was read a second chance, so it is least recently used to that degree.
 *
 * Cost, on the two cores of the benchmarks (Node 24, entries of 300 bytes): a hit takes 5 µs; a write 30 µs alone and 4 µs among
 * many. Once in a few hundred writes SQLite copies its log into the database, and the event loop waits for two `fsync`s.
 * @throws WarmpathError `WP_BAD_OPTION`
 */
export function sqliteStore(options: SqliteStoreOptions): SqliteStore {
  checkOptions('sqliteStore()', options, optionRules);
  const { file, maxBytes = '1GB', coherence = 0, name = 'sqlite', clock = systemClock } = options;
  const limits = limitsOf(byteSizeOf(maxBytes));
  return new FileStore({
    file: new DatabaseFile(file, clock),
    name,
    clock,
    limits,
    coherenceMs: durationMs(coherence),
  });
}

function limitsOf(maxBytes: number): Limits {
  const maxEntryBytes = maxBytes / 8;
  return {
    maxBytes,
    maxEntryBytes,
    // A small part of what the entries take up, and no more than some hundred thousand: those are of no use.
    maxMarkBytes: Math.min(16_000_000, Math.max(64_000, maxBytes / 16)),
    maxLogBytes: maxEntryBytes + 64_000_000,
  };
}

interface FileStoreOptions {
  readonly file: DatabaseFile;
  readonly name: string;
  readonly clock: Clock;
  readonly limits: Limits;
  readonly coherenceMs: number;
}

const mostRemoved = 256;

class FileStore implements SqliteStore {
  readonly name: string;
  readonly #file: DatabaseFile;
  readonly #clock: Clock;
  readonly #reader: EntryReader;
  readonly #queue: WriteQueue;
  readonly #feeds: InvalidationFeeds;
  readonly #housekeeping: Housekeeping;

  constructor({ file, name, clock, limits, coherenceMs }: FileStoreOptions) {
    this.name = name;
    this.#file = file;
    this.#clock = clock;
    this.#reader = new EntryReader(file, clock);
    this.#feeds = new InvalidationFeeds({ file, clock, coherenceMs });
    const heard = (namespace: string): number => this.#feeds.heard(namespace);
    const onBacklog = (): void => this.#housekeeping.hurry();
    this.#queue = new WriteQueue({ file, clock, limits, heard, onBacklog });
    this.#housekeeping = new Housekeeping({ file, clock, limits, queue: this.#queue });
  }

  getMany(read: StoreRead): Promise<StoreAnswer> {
    return this.#reader.getMany(read);
  }

  async setMany({ namespace, entries, signal }: StoreWrite): Promise<readonly boolean[]> {
    // Packed at once: what the caller does with the bytes afterwards is not what was set.
    const packed = entries.map(({ key, entry, fence }): PackedEntry => {
      return { key: nameOf(key), packed: packEntry(entry), keptUntil: entry.keptUntil, tags: entry.tags, fence };
    });
    const pieces = piecesOf(packed, weightOf).map(({ piece, weight }) =>
      this.#queue.add((to) => piece.map((entry) => to.set(namespace, entry)), weight, signal),
    );
    return (await Promise.all(pieces)).flat();
  }

  async invalidate({ namespace, invalidation, signal }: StoreInvalidation): Promise<void> {
    const pieces = invalidationPieces(invalidation).map(({ piece, weight }) =>
      this.#queue.add((to) => to.invalidate(namespace, piece), weight, signal),
    );
    await Promise.all(pieces);
  }

  openFeed(namespace: string): StoreFeed {
    if (this.#file.isClosed) throw closedError();
    return this.#feeds.open(namespace);
  }

  stats(): SqliteStats {
    const connection = this.#file.connect();
    const [usedBytes, evicted = 0] = connection?.read.totals.get() ?? [];
    const shares = (connection?.read.spaces.all() ?? []).map(
      ([name, entries, bytes]) => [textOfName(name), { entries, bytes }] as const,
    );
    return {
      namespaces: Object.fromEntries(shares),
      total: {
        entries: shares.reduce((sum, [, { entries }]) => sum + entries, 0),
        bytes: shares.reduce((sum, [, { bytes }]) => sum + bytes, 0),
      },
      usedBytes: usedBytes ?? 0,
      fileBytes: this.#file.diskBytes(),
      evicted,
      setAside: this.#file.replaced,
    };
  }

  async clearExpired({
    signal = new AbortController().signal,
  }: {
    readonly signal?: AbortSignal;
  } = {}): Promise<number> {
    let total = 0;
    for (;;) {
      const removed = await this.#queue.add((from) => from.sweep(this.#clock.wall(), mostRemoved), mostRemoved, signal);
      if (removed === 0) return total;
      total += removed;
    }
  }

  async close(): Promise<void> {
    if (this.#file.isClosed) return;
    this.#housekeeping.close();
    this.#queue.close();
    this.#file.close();
  }
}

/** Large values are more work than small ones. */
function weightOf({ packed }: PackedEntry): number {
  return 1 + packed.length / 16_384;
}

function invalidationPieces(all: Invalidation): { readonly piece: Invalidation; readonly weight: number }[] {
  const { type } = all;
  if (type === 'clear') return [{ piece: all, weight: 1 }];
  const names = type === 'tags' ? all.tags : all.keys;
  return piecesOf(names, () => 1).map(({ piece, weight }) => {
    return { piece: type === 'tags' ? { type, tags: piece } : { type, keys: piece }, weight };
  });
}

/** What one transaction is to take of one call. */
function piecesOf<T>(
  items: readonly T[],
  weightOf: (item: T) => number,
): { readonly piece: readonly T[]; readonly weight: number }[] {
  const pieces: { piece: T[]; weight: number }[] = [];
  for (const item of items) {
    let last = pieces.at(-1);
    if (!last || last.weight >= mostWeight) {
      last = { piece: [], weight: 0 };
      pieces.push(last);
    }
    last.piece.push(item);
    last.weight += weightOf(item);
  }
  return pieces;
}
