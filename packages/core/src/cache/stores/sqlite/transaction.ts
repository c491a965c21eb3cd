import { packEntry, unpackEntry } from '../../envelope.js';
import type { Fence, Invalidation } from '../../store.js';
import { SqliteFence } from './fence.js';
import { Ledger, type Space } from './ledger.js';
import { type NewMark, nobody, putMark, trimMarks } from './marks.js';
import { type Name, nameBytes, nameOf, namesOfTag } from './names.js';
import type { EntryRow, WriteStatements } from './write-statements.js';

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

/** What a row takes up beside its key, which is there twice, and its value: headers, three indexes, half-empty pages. */
const rowOverheadBytes = 128;
/** Large values are chains of pages, and each page has to be looked at to free it. */
const mostSweptBytes = 16 * 1024 * 1024;

/** What happens between `begin immediate` and `commit`. Throws what SQLite throws, and is rolled back as a whole then. */
export class Transaction {
  readonly #writer: Writer;
  readonly #statements: WriteStatements;
  readonly #ledger: Ledger;

  constructor(writer: Writer) {
    this.#writer = writer;
    this.#statements = writer.statements;
    this.#ledger = new Ledger(writer.statements);
  }

  /** @returns false when the entry is void */
  set(namespace: string, entry: PackedEntry): boolean {
    const space = this.#ledger.space(namespace);
    if (this.#isVoid(space, entry)) return false;
    const { key, packed, keptUntil } = entry;
    const old = this.#statements.find.get(space.generation, key);
    const size = packed.length + 2 * nameBytes(key) + rowOverheadBytes;
    if (size > this.#writer.limits.maxEntryBytes || this.#writer.isLogFull) {
      // As if it were evicted at once. What it replaces goes as well: it is not what was set last.
      if (old) this.#remove(old);
      this.#ledger.counters.evicted++;
    } else if (old) {
      this.#ledger.count(space.generation, 0, size - old[2]);
      this.#statements.replace.run(space.sequence, size, keptUntil, packed, old[0]);
    } else {
      this.#ledger.count(space.generation, 1, size);
      this.#statements.add.run(space.generation, key, space.sequence, size, keptUntil, packed);
    }
    return true;
  }

  invalidate(namespace: string, invalidation: Invalidation): void {
    const space = this.#ledger.space(namespace);
    switch (invalidation.type) {
      case 'delete':
        for (const key of invalidation.keys) this.#delete(space, nameOf(key));
        break;
      case 'expire':
        for (const key of invalidation.keys) this.#expire(space, nameOf(key));
        break;
      case 'tags':
        for (const tag of invalidation.tags) this.#voidTag(space, tag);
        break;
      case 'clear':
        this.#clear(space);
    }
  }

  /** These were read lately. */
  touch(ids: Iterable<number>): void {
    for (const id of ids) this.#statements.use.run(id);
  }

  /** Removes entries that nobody may be given any more. @returns how many; 0 when there are none left */
  sweep(wall: number, limit: number): number {
    const bytesBefore = this.#ledger.bytes;
    const isEnough = (): boolean => bytesBefore - this.#ledger.bytes > mostSweptBytes;
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
    const ledger = this.#ledger;
    const { counters } = ledger;
    const { maxBytes } = this.#writer.limits;
    if (ledger.bytes <= maxBytes) return false;
    let left = limit - this.sweep(wall, limit);
    while (ledger.bytes > maxBytes && left > 0) {
      const rows = this.#statements.between.all(counters.hand, counters.lapEnd, Math.min(left, 16));
      if (rows.length === 0) {
        counters.hand = 0;
        counters.lapEnd = this.#statements.newest.get()?.[0] ?? 0;
        left--;
      }
      for (const [id, generation, size, isUsed] of rows) {
        if (ledger.bytes <= maxBytes) break;
        counters.hand = id;
        left--;
        if (isUsed) this.#statements.unuse.run(id);
        else counters.evicted += this.#remove([id, generation, size]);
      }
    }
    return ledger.bytes > maxBytes;
  }

  /** Nothing may follow. @returns whether marks are left to trim */
  finish(): boolean {
    const { counters } = this.#ledger;
    const { keyMarks, tagMarks } = this.#statements;
    const { maxMarkBytes } = this.#writer.limits;
    counters.keyMarkBytes -= trimMarks(keyMarks, counters.keyMarkBytes - maxMarkBytes);
    counters.tagMarkBytes -= trimMarks(tagMarks, counters.tagMarkBytes - maxMarkBytes);
    this.#ledger.save();
    return Math.max(counters.keyMarkBytes, counters.tagMarkBytes) > maxMarkBytes;
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

  #delete(space: Space, key: Name): void {
    this.#markKey(space, key, false);
    const row = this.#statements.find.get(space.generation, key);
    if (row) this.#remove(row);
  }

  /** The row keeps its fence: what its tags have to say of it has not changed. */
  #expire(space: Space, key: Name): void {
    this.#markKey(space, key, true);
    const row = this.#statements.find.get(space.generation, key);
    if (!row) return;
    const [id] = row;
    const [packed] = this.#statements.value.get(id) ?? [];
    const entry = packed instanceof Uint8Array ? unpackEntry(packed) : undefined;
    if (entry) this.#statements.rewrite.run(packEntry({ ...entry, freshUntil: 0 }), id);
    else this.#remove(row);
  }

  #markKey(space: Space, key: Name, expired: boolean): void {
    this.#ledger.counters.keyMarkBytes += putMark(this.#statements.keyMarks, this.#newMark(space, key, expired));
  }

  #voidTag(space: Space, tag: string): void {
    for (const name of namesOfTag(tag)) {
      this.#ledger.counters.tagMarkBytes += putMark(this.#statements.tagMarks, this.#newMark(space, name, false));
    }
  }

  #newMark(space: Space, name: Name, expired: boolean): NewMark {
    const { origin } = this.#writer;
    const heard = this.#writer.heard(space.name);
    return { space: space.id, name, expired, sequence: this.#ledger.nextSequence(space), origin, heard };
  }

  #clear(space: Space): void {
    // A clear is all that is told of what came before it. So what others did, and we have not heard of, has to reach us as
    // our own clear: until now our memory may have taken up what they invalidated.
    const clearedBy = this.#hasUnheard(space) ? nobody : this.#writer.origin;
    space.cleared = this.#ledger.nextSequence(space);
    space.clearedBy = clearedBy;
    // One that is empty is as good as new.
    if (this.#ledger.entriesOf(space.generation) > 0) space.generation = this.#ledger.newGeneration();
  }

  #hasUnheard({ id, name, cleared, clearedBy }: Space): boolean {
    const { keyMarks, tagMarks } = this.#statements;
    const { origin } = this.#writer;
    const heard = this.#writer.heard(name);
    if (heard === Number.POSITIVE_INFINITY) return false;
    if (cleared > heard && clearedBy !== origin) return true;
    return [keyMarks, tagMarks].some(({ findOther }) => findOther.get(heard, id, origin) !== undefined);
  }

  #remove([id, generation, size]: EntryRow): number {
    this.#statements.remove.run(id);
    this.#statements.unuse.run(id);
    this.#ledger.count(generation, -1, -size);
    return 1;
  }
}
