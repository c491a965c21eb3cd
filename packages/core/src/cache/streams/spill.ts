/**
 * Where streams under way go that memory has no room for, such as `sqliteSpill()`. Everything is synchronous: a piece has
 * some 64 kB, and a file that takes longer than a fraction of a millisecond for that is not worth spilling to.
 */
export interface StreamSpill {
  /** For the pieces of one stream. @throws what the disk says: the stream is shortened then, see `maxStreamBytes` */
  open(): SpillFile;
}

export interface SpillFile {
  /** Keeps a piece as the next one: the first has the number 0. @returns false when there is no room for it */
  append(piece: Uint8Array): boolean;
  /** @throws when it is not there any more */
  read(number: number): Uint8Array;
  /** Forgets all of it. Idempotent. */
  close(): void;
}
