import { copyOf, type Isolation, keep } from '../isolation/isolation.js';

/** One chunk as a log has it. */
export interface LoggedChunk {
  readonly value: unknown;
  /** Whether readers may have that very value; otherwise each gets a copy. */
  readonly isShareable: boolean;
  /** Whole milliseconds from the first pull of the source to this chunk. */
  readonly atMs: number;
  /** What it takes in memory, as estimated; 0 for one that somebody else keeps there anyway. */
  readonly bytes: number;
}

/**
 * Where the chunks of a shared stream come from, in order: a producer in this process gives one at a time, another process or
 * a store may give many at once. The stream asks again when a reader wants more than it was given.
 */
export interface ChunkSource {
  next(): Promise<IteratorResult<readonly LoggedChunk[], undefined>>;
  /** Nobody wants more: called at most once, also while a `next` is under way, and never after the end or a failure. */
  stop(): Promise<unknown>;
}

/** A chunk's object of four fields and its slot in a list. */
const overheadBytes = 64;

/**
 * The log has a value of its own, since a source may use one object over and over, and readers are isolated from each
 * other. What has no copy is handed to all of them as it is.
 */
export function loggedChunk(value: unknown, atMs: number, isolation: Isolation): LoggedChunk {
  const kept = keep(value, isolation);
  return kept
    ? { value: kept.value, isShareable: kept.isShareable, atMs, bytes: kept.bytes + overheadBytes }
    : { value, isShareable: true, atMs, bytes: overheadBytes };
}

/** What one reader gets. */
export function handedOut({ value, isShareable }: LoggedChunk): unknown {
  return isShareable ? value : copyOf(value);
}
