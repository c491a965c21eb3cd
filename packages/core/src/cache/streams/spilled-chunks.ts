import { WarmpathError } from '../../kernel/index.js';
import type { Codec } from '../codec/codec.js';
import type { Isolation } from '../isolation/isolation.js';
import { type LoggedChunk, loggedChunk } from './chunk.js';
import type { SpillFile, StreamSpill } from './spill.js';

/** Successive chunks of a stream as they were read back. */
export interface Stretch {
  /** The position of the first one. */
  readonly first: number;
  readonly chunks: readonly LoggedChunk[];
}

export interface SpillOptions {
  readonly spill: StreamSpill | undefined;
  readonly codec: Codec;
  readonly isolation: Isolation;
  /** What encrypted pieces are bound to. */
  readonly key: string;
}

interface Piece {
  readonly first: number;
  readonly count: number;
}

/**
 * The beginning of a stream, outside of memory, in pieces of successive chunks. They go through the cache's codec: where
 * the store gets nothing in the clear, the disk does not either. Readers who follow each other share the piece read last.
 */
export class SpilledChunks {
  readonly #options: SpillOptions;
  readonly #pieces: Piece[] = [];
  #file: SpillFile | undefined;
  #last: Stretch | undefined;

  constructor(options: SpillOptions) {
    this.#options = options;
  }

  /** How many chunks there are. */
  get length(): number {
    const last = this.#pieces.at(-1);
    return last ? last.first + last.count : 0;
  }

  /** @returns false when they cannot be put there: there is no room, or they are not data */
  append(chunks: readonly LoggedChunk[]): boolean {
    const { spill, codec, key } = this.#options;
    if (!spill || !this.#isData(chunks)) return false;
    const values = chunks.map(({ value }) => value);
    const piece = codec.encode({ values, atMs: chunks.map(({ atMs }) => atMs) }, this.#keyOf(key, this.length));
    if (!piece) return false;
    try {
      this.#file ??= spill.open();
      if (!this.#file.append(piece)) return false;
    } catch {
      return false; // whoever made the spill says what the disk says
    }
    this.#pieces.push({ first: this.length, count: chunks.length });
    return true;
  }

  /**
   * The piece with a position. Cost: reading and decoding it, about 0.2 ms.
   * @throws WarmpathError `WP_STREAM_INCOMPLETE` when it cannot be read
   */
  load(position: number): Stretch {
    const number = this.#pieces.findLastIndex(({ first }) => first <= position);
    const first = this.#pieces[number]?.first ?? 0;
    if (this.#last?.first !== first) this.#last = { first, chunks: this.#read(number) };
    return this.#last;
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
    this.#pieces.length = 0;
    this.#last = undefined;
  }

  /** A value that is shared as it is may be more than data, and would come back as less than it is. */
  #isData(chunks: readonly LoggedChunk[]): boolean {
    if (this.#options.isolation !== 'shared') return true;
    return chunks.every(({ value }) => typeof value !== 'object' || value === null);
  }

  #read(number: number): readonly LoggedChunk[] {
    try {
      const { codec, key, isolation } = this.#options;
      const piece = this.#pieces[number];
      if (!this.#file || !piece) throw new Error('The file is closed');
      const decoded = codec.decode(this.#file.read(number), this.#keyOf(key, piece.first));
      if ('rejected' in decoded) throw new Error(`The piece is ${decoded.rejected}`);
      const { values, atMs } = decoded.value as {
        readonly values: readonly unknown[];
        readonly atMs: readonly number[];
      };
      if (values.length !== piece.count) throw new Error('It is another piece');
      return values.map((value, index) => loggedChunk(value, atMs[index] ?? 0, isolation));
    } catch (cause) {
      throw new WarmpathError(
        'WP_STREAM_INCOMPLETE',
        'A part of a shared stream could not be read back from its file.',
        {
          cause,
        },
      );
    }
  }

  #keyOf(key: string, first: number): string {
    return `${key}:${first}`;
  }
}
