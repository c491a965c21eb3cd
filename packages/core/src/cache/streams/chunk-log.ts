import type { LoggedChunk } from './chunk.js';
import { SpilledChunks, type SpillOptions, type Stretch } from './spilled-chunks.js';

export interface LogOptions extends SpillOptions {
  /** What may be in memory. */
  readonly maxBytes: number;
}

/** What is moved to the file at a time: large enough to be worth a row, small enough to be written in a fraction of a ms. */
const pieceBytes = 65_536;

/**
 * The chunks of a stream by position, bounded in memory: the oldest are moved to a file where there is one, and forgotten
 * where there is none. The newest chunk stays in memory in any case.
 *
 * `at` and `append` are O(1); moving and forgetting are O(1) for each chunk, over all.
 */
export class ChunkLog {
  readonly #maxBytes: number;
  readonly #spilled: SpilledChunks;
  /** Those at the front are gone already. */
  readonly #chunks: (LoggedChunk | undefined)[] = [];
  /** How many are. */
  #gone = 0;
  /** The position of the first chunk in memory. */
  #first = 0;
  #bytes = 0;
  #totalBytes = 0;
  #isTrimmed = false;

  constructor(options: LogOptions) {
    this.#maxBytes = options.maxBytes;
    this.#spilled = new SpilledChunks(options);
  }

  /** The position of the next chunk. */
  get length(): number {
    return this.#first + this.#chunks.length - this.#gone;
  }

  /** What it has in memory, as estimated. */
  get bytes(): number {
    return this.#bytes;
  }

  get isOver(): boolean {
    return this.#bytes > this.#maxBytes && this.#chunks.length - this.#gone > 1;
  }

  /** Whether its beginning is lost. */
  get isTrimmed(): boolean {
    return this.#isTrimmed;
  }

  /** The first position that can still be had. */
  get start(): number {
    return this.#isTrimmed ? this.#first : 0;
  }

  append(chunks: readonly LoggedChunk[]): void {
    for (const chunk of chunks) {
      this.#chunks.push(chunk);
      this.#bytes += chunk.bytes;
      this.#totalBytes += chunk.bytes;
    }
  }

  /** Undefined for what is not in memory. */
  at(position: number): LoggedChunk | undefined {
    return position < this.#first ? undefined : this.#chunks[position - this.#first + this.#gone];
  }

  /**
   * What the file has around a position; undefined for a position that is not in it.
   * @throws WarmpathError `WP_STREAM_INCOMPLETE`
   */
  load(position: number): Stretch | undefined {
    return position < this.#spilled.length ? this.#spilled.load(position) : undefined;
  }

  /** Moves the oldest chunks to the file until the rest fits. @returns false where that cannot be done */
  spill(): boolean {
    while (this.isOver) {
      if (this.#isTrimmed || !this.#spillPiece()) return false;
    }
    return true;
  }

  /** Forgets the beginning: what is before `keep`, and as much more as there is too much, but never what is from `most` on. */
  trim(keep: number, most: number): void {
    this.#isTrimmed = true;
    this.#spilled.close(); // there would be a hole behind it
    while (this.#first < most && (this.#first < keep || this.isOver)) this.#forget(1);
  }

  /** All of its chunks. @returns undefined when they are not there, or take more than `mostBytes` */
  whole(mostBytes: number): readonly LoggedChunk[] | undefined {
    if (this.#isTrimmed || this.#totalBytes > mostBytes) return undefined;
    const all: LoggedChunk[] = [];
    while (all.length < this.#spilled.length) all.push(...this.#spilled.load(all.length).chunks);
    return all.concat(this.#slice(this.#chunks.length));
  }

  /** Forgets everything. Idempotent. */
  close(): void {
    this.#isTrimmed = true;
    this.#spilled.close();
    this.#forget(this.#chunks.length - this.#gone);
  }

  #spillPiece(): boolean {
    const most = Math.min(pieceBytes, this.#maxBytes / 4);
    const last = this.#chunks.length - 1;
    let end = this.#gone;
    for (let bytes = 0; end < last && bytes < most; end++) bytes += this.#chunks[end]?.bytes ?? 0;
    const piece = this.#slice(end);
    if (!this.#spilled.append(piece)) return false;
    this.#forget(piece.length);
    return true;
  }

  /** Those in memory, up to an index. */
  #slice(end: number): LoggedChunk[] {
    return this.#chunks.slice(this.#gone, end) as LoggedChunk[];
  }

  #forget(count: number): void {
    for (let left = count; left > 0; left--) {
      this.#bytes -= this.#chunks[this.#gone]?.bytes ?? 0;
      this.#chunks[this.#gone++] = undefined;
    }
    this.#first += count;
    if (this.#gone * 2 < this.#chunks.length) return;
    this.#chunks.splice(0, this.#gone);
    this.#gone = 0;
  }
}
