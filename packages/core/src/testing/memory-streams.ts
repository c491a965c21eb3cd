import type {
  StoreStreamAppend,
  StoreStreamPieces,
  StoreStreamRead,
  StoreStreamState,
  StreamPiece,
} from '../cache/index.js';
import type { Clock } from '../kernel/index.js';

interface Run {
  readonly pieces: StreamPiece[];
  /** When what it has is forgotten. */
  keptUntil: number;
  followedUntil: number;
}

interface MemoryStreams {
  append(append: StoreStreamAppend, wake: () => void): StoreStreamState;
  read(read: StoreStreamRead, wake: () => void): StoreStreamPieces;
}

/** The logs of streams under way. @param ttlMs how long what one has said lasts */
export function memoryStreams(clock: Clock, ttlMs: number): MemoryStreams {
  const runs = new Map<string, Run>();

  const runOf = ({ namespace, key, run }: Pick<StoreStreamRead, 'namespace' | 'key' | 'run'>): Run => {
    const name = JSON.stringify([namespace, key, run]);
    const found = runs.get(name) ?? { pieces: [], keptUntil: 0, followedUntil: 0 };
    runs.set(name, found);
    if (clock.now() >= found.keptUntil) found.pieces.length = 0;
    return found;
  };

  return {
    append({ from, pieces, ...of }, wake) {
      const run = runOf(of);
      const now = clock.now();
      if (now >= run.followedUntil) return { isFollowed: false, length: lengthOf(run) };
      if (from > lengthOf(run)) return { isFollowed: true, length: lengthOf(run) };
      run.keptUntil = now + ttlMs;
      const before = run.pieces.length;
      for (const piece of pieces) {
        const isNew = piece.end > lengthOf(run) || (piece.isLast && piece.end === lengthOf(run));
        if (isNew && !isOver(run)) run.pieces.push({ ...piece, bytes: Uint8Array.from(piece.bytes) });
      }
      if (run.pieces.length > before) wake();
      return { isFollowed: true, length: lengthOf(run) };
    },

    read({ from, mostPieces, ...of }, wake) {
      const run = runOf(of);
      const now = clock.now();
      const isNews = now >= run.followedUntil;
      run.followedUntil = now + ttlMs;
      if (isOver(run)) run.keptUntil = now + ttlMs;
      else if (isNews) wake();
      const pieces = run.pieces.filter(({ end, isLast }) => end > from || isLast).slice(0, mostPieces);
      return { isThere: run.pieces.length > 0, pieces };
    },
  };
}

function lengthOf({ pieces }: Run): number {
  return pieces.at(-1)?.end ?? 0;
}

function isOver({ pieces }: Run): boolean {
  return pieces.at(-1)?.isLast === true;
}
