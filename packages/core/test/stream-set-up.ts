import type { CachedStream, StreamComputation, StreamSpill } from '../src/cache/index.js';

/** What the tests' producers use of what they are given. */
export type Production = Pick<StreamComputation, 'signal'>;

interface Tap<C> {
  readonly produce: (production: Production) => AsyncGenerator<C>;
  readonly seen: { begun: number; pulled: number; closed: number; signal: AbortSignal | undefined };
  give(...chunks: C[]): void;
  end(): void;
  fail(error: unknown): void;
}

/** A source whose chunks the test hands out one by one. */
export function tap<C = string>(): Tap<C> {
  const queue: C[] = [];
  let wake = (): void => {};
  let over: { error?: unknown } | undefined;
  const seen = { begun: 0, pulled: 0, closed: 0, signal: undefined as AbortSignal | undefined };
  const produce = async function* ({ signal }: Production): AsyncGenerator<C> {
    seen.begun++;
    seen.signal = signal;
    signal.addEventListener('abort', () => wake(), { once: true });
    try {
      for (;;) {
        seen.pulled++;
        while (queue.length === 0 && !over && !signal.aborted) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
        signal.throwIfAborted();
        if (queue.length > 0) yield queue.shift() as C;
        else if (over && 'error' in over) throw over.error;
        else return;
      }
    } finally {
      seen.closed++;
    }
  };
  return {
    produce,
    seen,
    give: (...chunks: C[]) => {
      queue.push(...chunks);
      wake();
    },
    end: () => {
      over = {};
      wake();
    },
    fail: (error: unknown) => {
      over = { error };
      wake();
    },
  };
}

/** The whole of a stream. */
export async function drain<C>(stream: CachedStream<C> | Promise<CachedStream<C>>): Promise<C[]> {
  const chunks: C[] = [];
  for await (const chunk of (await stream).chunks) chunks.push(chunk);
  return chunks;
}

/** Reads on and on into a list, which the test looks at meanwhile. */
export function follow<C>(stream: CachedStream<C>): { readonly chunks: C[]; readonly end: Promise<void> } {
  const chunks: C[] = [];
  const end = (async () => {
    for await (const chunk of stream.chunks) chunks.push(chunk);
  })();
  end.catch(() => {});
  return { chunks, end };
}

export async function* letters(): AsyncGenerator<string> {
  yield* ['a', 'b', 'c'];
}

interface MemorySpill extends StreamSpill {
  /** Of those files that are not closed. */
  readonly files: () => number;
  readonly pieces: () => number;
  /** How many more pieces there is room for. */
  room: number;
  /** Whether what is there can be read. */
  isReadable: boolean;
}

/** A spill that shows what it holds, and fails on demand. */
export function memorySpill(): MemorySpill {
  const files = new Set<Uint8Array[]>();
  const spill: MemorySpill = {
    files: () => files.size,
    pieces: () => [...files].reduce((sum, pieces) => sum + pieces.length, 0),
    room: Number.POSITIVE_INFINITY,
    isReadable: true,
    open() {
      const pieces: Uint8Array[] = [];
      files.add(pieces);
      return {
        append(piece) {
          if (spill.room <= 0) return false;
          spill.room--;
          pieces.push(piece);
          return true;
        },
        read(number) {
          const piece = pieces[number];
          if (!spill.isReadable || !piece) throw new Error('no such piece');
          return piece;
        },
        close: () => void files.delete(pieces),
      };
    },
  };
  return spill;
}
