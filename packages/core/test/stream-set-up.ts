import type { CachedStream, Computation } from '../src/cache/index.js';

/** What the producer of a stream is given. */
export type Production = Pick<Computation, 'signal'>;

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
