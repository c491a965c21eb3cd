import { DamageError } from './failures.js';
import { nameOf } from './names.js';
import type { FileRow, WriteStatements } from './write-statements.js';

/** The one row of the file. */
export interface Counters {
  sequence: number;
  generations: number;
  hand: number;
  lapEnd: number;
  evicted: number;
  keyMarkBytes: number;
  tagMarkBytes: number;
}

/** A namespace, as a transaction has it. */
export interface Space {
  readonly name: string;
  readonly id: number;
  generation: number;
  sequence: number;
  cleared: number;
  clearedBy: number;
  readonly keyFloor: number;
  readonly tagFloor: number;
}

/** Everything that a transaction counts: read as it begins, kept in memory, and what has changed written once at its end. */
export class Ledger {
  readonly counters: Counters;
  readonly #statements: WriteStatements;
  readonly #before: string;
  #bytes: number;
  readonly #spaces = new Map<string, Space>();
  readonly #changed = new Set<Space>();
  readonly #counts = new Map<number, { entries: number; bytes: number }>();

  constructor(statements: WriteStatements) {
    this.#statements = statements;
    const row = statements.file.get();
    if (!row) throw new DamageError('the counters are gone');
    const [sequence, generations, hand, lapEnd, evicted, keyMarkBytes, tagMarkBytes] = row;
    this.counters = { sequence, generations, hand, lapEnd, evicted, keyMarkBytes, tagMarkBytes };
    this.#before = row.join();
    this.#bytes = statements.bytes.get()?.[0] ?? 0;
  }

  /** Of all entries, dead ones included. */
  get bytes(): number {
    return this.#bytes;
  }

  space(namespace: string): Space {
    const known = this.#spaces.get(namespace);
    if (known) return known;
    const name = nameOf(namespace);
    if (!this.#statements.space.get(name)) this.#statements.addSpace.run(name, this.newGeneration());
    const row = this.#statements.space.get(name);
    if (!row) throw new DamageError('a namespace that was just written is not there');
    const [id, generation, sequence, cleared, clearedBy, keyFloor, tagFloor] = row;
    const space = { name: namespace, id, generation, sequence, cleared, clearedBy, keyFloor, tagFloor };
    this.#spaces.set(namespace, space);
    return space;
  }

  /** The number of the next invalidation of the namespace. */
  nextSequence(space: Space): number {
    this.#changed.add(space);
    space.sequence = ++this.counters.sequence;
    return space.sequence;
  }

  newGeneration(): number {
    this.#statements.addGeneration.run(++this.counters.generations);
    return this.counters.generations;
  }

  entriesOf(generation: number): number {
    const [entries = 0] = this.#statements.generation.get(generation) ?? [];
    return entries + (this.#counts.get(generation)?.entries ?? 0);
  }

  count(generation: number, entries: number, bytes: number): void {
    const count = this.#counts.get(generation) ?? { entries: 0, bytes: 0 };
    count.entries += entries;
    count.bytes += bytes;
    this.#counts.set(generation, count);
    this.#bytes += bytes;
  }

  save(): void {
    const { countGeneration, saveFile, saveSpace } = this.#statements;
    for (const { id, generation, sequence, cleared, clearedBy } of this.#changed) {
      saveSpace.run(generation, sequence, cleared, clearedBy, id);
    }
    for (const [generation, { entries, bytes }] of this.#counts) countGeneration.run(entries, bytes, generation);
    const { sequence, generations, hand, lapEnd, evicted, keyMarkBytes, tagMarkBytes } = this.counters;
    const row: FileRow = [sequence, generations, hand, lapEnd, evicted, keyMarkBytes, tagMarkBytes];
    if (row.join() !== this.#before) saveFile.run(...row);
  }
}
