import { packEntry, unpackEntry } from '../../envelope.js';
import type { Fence, Invalidation } from '../../store.js';
import { DamageError } from './failures.js';
import { SqliteFence } from './fence.js';
import { nobody, putMark, trimMarks } from './marks.js';
import { type Name, nameBytes, nameOf, namesOfTag } from './names.js';
import type { EntryRow, FileRow, WriteStatements } from './write-statements.js';

/** An entry on its way into the file. */
export interface PackedEntry {
  readonly key: Name;
  readonly packed: Uint8Array;
  readonly keptUntil: number;
  readonly tags: readonly string[];
  readonly fence: Fence;
}

export interface Limits {
  /** What the entries may take up: their values, their keys and what holds them. */
  readonly maxBytes: number;
  /** The same for the marks of keys, and again for those of tags. */
  readonly maxMarkBytes: number;
  /** A value that would push out too much else is not kept. */
  readonly maxEntryBytes: number;
  /** What the write-ahead log may take up while somebody keeps an old snapshot open, so that it cannot be emptied. */
  readonly maxLogBytes: number;
}

/** What a transaction has to know of the connection it runs on. */
export interface Writer {
  readonly statements: WriteStatements;
  readonly limits: Limits;
  readonly epoch: string;
  /** Nothing but invalidations is to be written. */
  readonly isLogFull: boolean;
  /** Tells this store's invalidations from those of others. */
  readonly origin: number;
  /** Up to where this store's feeds of a namespace have read; Infinity where it has none. */
  heard(namespace: string): number;
}

/** The one row of the file. */
interface Counters {
  sequence: number;
  generations: number;
  hand: number;
  lapEnd: number;
  evicted: number;
  keyMarkBytes: number;
  tagMarkBytes: number;
}

interface Space {
  readonly id: number;
  generation: number;
  sequence: number;
  cleared: number;
  clearedBy: number;
  readonly keyFloor: number;
  readonly tagFloor: number;
}

/** What a row takes up beside its key, which is there twice, and its value: headers, three indexes, half-empty pages. */
const rowOverheadBytes = 128;
/** Large values are chains of pages, and each page has to be looked at to free it. */
const mostSweptBytes = 16 * 1024 * 1024;
/**
 * What happens between `begin immediate` and `commit`. Counters are kept here and written once, by `finish`; everything
 * else throws what SQLite throws, and is rolled back as a whole.
 */
export class Transaction {
  readonly #writer: Writer;
  readonly #statements: WriteStatements;
  readonly #counters: Counters;
  readonly #before: string;
  /** Of all entries, dead ones included. */
  #bytes: number;
  readonly #spaces = new Map<string, Space>();
  readonly #changed = new Set<Space>();
  readonly #counts = new Map<number, { entries: number; bytes: number }>();

  constructor(writer: Writer) {
    this.#writer = writer;
    this.#statements = writer.statements;
    const row = this.#statements.file.get();
    if (!row) throw new DamageError('the counters are gone');
    const [sequence, generations, hand, lapEnd, evicted, keyMarkBytes, tagMarkBytes] = row;
    this.#counters = { sequence, generations, hand, lapEnd, evicted, keyMarkBytes, tagMarkBytes };
    this.#before = row.join();
    this.#bytes = this.#statements.bytes.get()?.[0] ?? 0;
  }

  /** @returns false when the entry is void */
  set(namespace: string, entry: PackedEntry): boolean {
    const space = this.#space(namespace);
    if (this.#isVoid(space, entry)) return false;
    const { key, packed, keptUntil } = entry;
    const old = this.#statements.find.get(space.generation, key);
    const size = packed.length + 2 * nameBytes(key) + rowOverheadBytes;
    if (size > this.#writer.limits.maxEntryBytes || this.#writer.isLogFull) {
      // As if it were evicted at once. What it replaces goes as well: it is not what was set last.
      if (old) this.#remove(old);
      this.#counters.evicted++;
    } else if (old) {
      this.#count(space.generation, 0, size - old[2]);
      this.#statements.replace.run(old[0], space.sequence, size, keptUntil, packed);
    } else {
      this.#count(space.generation, 1, size);
      this.#statements.add.run(space.generation, key, space.sequence, size, keptUntil, packed);
    }
    return true;
  }

  invalidate(namespace: string, invalidation: Invalidation): void {
    const space = this.#space(namespace);
    this.#changed.add(space);
    switch (invalidation.type) {
      case 'delete':
        for (const key of invalidation.keys) this.#delete(namespace, space, nameOf(key));
        break;
      case 'expire':
        for (const key of invalidation.keys) this.#expire(namespace, space, nameOf(key));
        break;
      case 'tags':
        for (const tag of invalidation.tags) this.#voidTag(namespace, space, tag);
        break;
      case 'clear':
        this.#clear(namespace, space);
    }
  }

  /** These were read lately. */
  touch(ids: Iterable<number>): void {
    for (const id of ids) this.#statements.use.run(id);
  }

  /** Removes entries that nobody may be given any more. @returns how many; 0 when there are none left */
  sweep(wall: number, limit: number): number {
    const bytesBefore = this.#bytes;
    const isEnough = (): boolean => bytesBefore - this.#bytes > mostSweptBytes;
    let removed = 0;
    for (const row of this.#statements.overdue.all(wall, limit)) {
      if (isEnough()) return removed;
      removed += this.#remove(row);
    }
    while (removed < limit) {
      const [generation] = this.#statements.deadGeneration.get() ?? [];
      if (generation === undefined) break;
      const rows = this.#statements.dead.all(generation, limit - removed);
      if (rows.length === 0) this.#statements.dropGeneration.run(generation);
      for (const row of rows) {
        if (isEnough()) return removed;
        removed += this.#remove(row);
      }
    }
    return removed;
  }

  /**
   * While there is too much, removes entries that were not read for long, by second chance (Corbató's clock, 1968): a hand
   * goes from the oldest entry up, takes those that were not read since it last passed, and marks the others as not read.
   * What is added while it goes round waits for the next round, or the hand would follow the newest and see nothing else.
   * @returns whether there still is too much
   */
  evict(wall: number, limit: number): boolean {
    const { maxBytes } = this.#writer.limits;
    if (this.#bytes <= maxBytes) return false;
    const counters = this.#counters;
    let left = limit - this.sweep(wall, limit);
    while (this.#bytes > maxBytes && left > 0) {
      const rows = this.#statements.between.all(counters.hand, counters.lapEnd, Math.min(left, 16));
      if (rows.length === 0) {
        counters.hand = 0;
        counters.lapEnd = this.#statements.newest.get()?.[0] ?? 0;
        left--;
      }
      for (const [id, generation, size, isUsed] of rows) {
        if (this.#bytes <= maxBytes) break;
        counters.hand = id;
        left--;
        if (isUsed) this.#statements.unuse.run(id);
        else counters.evicted += this.#remove([id, generation, size]);
      }
    }
    return this.#bytes > maxBytes;
  }

  /** Writes the counters. @returns whether marks are left to trim */
  finish(): boolean {
    const { keyMarks, tagMarks, countGeneration, saveFile, saveSpace } = this.#statements;
    const { maxMarkBytes } = this.#writer.limits;
    const counters = this.#counters;
    for (const { id, generation, sequence, cleared, clearedBy, keyFloor, tagFloor } of this.#changed) {
      saveSpace.run(id, generation, sequence, cleared, clearedBy, keyFloor, tagFloor);
    }
    for (const [generation, { entries, bytes }] of this.#counts) countGeneration.run(generation, entries, bytes);
    counters.keyMarkBytes -= trimMarks(keyMarks, counters.keyMarkBytes - maxMarkBytes);
    counters.tagMarkBytes -= trimMarks(tagMarks, counters.tagMarkBytes - maxMarkBytes);
    const { sequence, generations, hand, lapEnd, evicted, keyMarkBytes, tagMarkBytes } = counters;
    const row: FileRow = [sequence, generations, hand, lapEnd, evicted, keyMarkBytes, tagMarkBytes];
    if (row.join() !== this.#before) saveFile.run(...row);
    return Math.max(keyMarkBytes, tagMarkBytes) > maxMarkBytes;
  }

  /** Whether something that covers the entry was invalidated since its fence, or may have been. */
  #isVoid(space: Space, { key, tags, fence }: PackedEntry): boolean {
    if (fence === undefined) return false;
    if (!(fence instanceof SqliteFence) || fence.epoch !== this.#writer.epoch) return true;
    const { sequence } = fence;
    if (sequence >= space.sequence) return false;
    if (sequence < space.cleared || sequence < space.keyFloor) return true;
    if (tags.length > 0 && sequence < space.tagFloor) return true;
    const { keyMarks, tagMarks } = this.#statements;
    const [keyMark = 0] = keyMarks.find.get(space.id, key) ?? [];
    if (keyMark > sequence) return true;
    return tags.some((tag) => (tagMarks.find.get(space.id, tag.toWellFormed())?.[0] ?? 0) > sequence);
  }

  #delete(namespace: string, space: Space, key: Name): void {
    this.#markKey(namespace, space, key, false);
    const row = this.#statements.find.get(space.generation, key);
    if (row) this.#remove(row);
  }

  /** The row keeps its fence: what its tags have to say of it has not changed. */
  #expire(namespace: string, space: Space, key: Name): void {
    this.#markKey(namespace, space, key, true);
    const row = this.#statements.find.get(space.generation, key);
    if (!row) return;
    const [id] = row;
    const [packed] = this.#statements.value.get(id) ?? [];
    const entry = packed instanceof Uint8Array ? unpackEntry(packed) : undefined;
    if (entry) this.#statements.rewrite.run(id, packEntry({ ...entry, freshUntil: 0 }));
    else this.#remove(row);
  }

  #markKey(namespace: string, space: Space, name: Name, expired: boolean): void {
    space.sequence = ++this.#counters.sequence;
    const { origin } = this.#writer;
    const mark = { space: space.id, name, expired, sequence: space.sequence, origin };
    this.#counters.keyMarkBytes += putMark(this.#statements.keyMarks, {
      ...mark,
      heard: this.#writer.heard(namespace),
    });
  }

  #voidTag(namespace: string, space: Space, tag: string): void {
    const { origin } = this.#writer;
    for (const name of namesOfTag(tag)) {
      space.sequence = ++this.#counters.sequence;
      const mark = { space: space.id, name, expired: false, sequence: space.sequence, origin };
      this.#counters.tagMarkBytes += putMark(this.#statements.tagMarks, {
        ...mark,
        heard: this.#writer.heard(namespace),
      });
    }
  }

  #clear(namespace: string, space: Space): void {
    const { origin } = this.#writer;
    const isNewsToUs = space.clearedBy !== origin && space.cleared > this.#writer.heard(namespace);
    space.sequence = ++this.#counters.sequence;
    space.cleared = space.sequence;
    space.clearedBy = isNewsToUs ? nobody : origin;
    const [entries = 0] = this.#statements.generation.get(space.generation) ?? [];
    if (entries + (this.#counts.get(space.generation)?.entries ?? 0) > 0) space.generation = this.#newGeneration();
  }

  #space(namespace: string): Space {
    const known = this.#spaces.get(namespace);
    if (known) return known;
    const name = nameOf(namespace);
    if (!this.#statements.space.get(name)) this.#statements.addSpace.run(name, this.#newGeneration());
    const row = this.#statements.space.get(name);
    if (!row) throw new DamageError('a namespace that was just written is not there');
    const [id, generation, sequence, cleared, clearedBy, keyFloor, tagFloor] = row;
    const space = { id, generation, sequence, cleared, clearedBy, keyFloor, tagFloor };
    this.#spaces.set(namespace, space);
    return space;
  }

  #newGeneration(): number {
    this.#statements.addGeneration.run(++this.#counters.generations);
    return this.#counters.generations;
  }

  #remove([id, generation, size]: EntryRow): number {
    this.#statements.remove.run(id);
    this.#statements.unuse.run(id);
    this.#count(generation, -1, -size);
    return 1;
  }

  #count(generation: number, entries: number, bytes: number): void {
    const count = this.#counts.get(generation) ?? { entries: 0, bytes: 0 };
    count.entries += entries;
    count.bytes += bytes;
    this.#counts.set(generation, count);
    this.#bytes += bytes;
  }
}
