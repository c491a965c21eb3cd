import { type Clock, systemClock } from '../kernel/index.js';

export interface StreamEnd {
  /** `aborted`: the reader left; `failed`: the source threw. */
  readonly outcome: 'complete' | 'aborted' | 'failed';
  readonly chunks: number;
  /** Undefined when no chunk came. */
  readonly firstChunkMs: number | undefined;
  readonly totalMs: number;
  readonly error?: unknown;
}

export interface MeterOptions {
  readonly clock?: Clock;
  /** When the wait began, on the clock's monotonic scale. Default: now. */
  readonly began?: number;
  readonly onFirstChunk?: (ms: number) => void;
  readonly onEnd?: (end: StreamEnd) => void;
}

/** The same chunks, with the time to the first one and the end reported, each exactly once. */
export function meterStream<T>(chunks: AsyncIterable<T>, options: MeterOptions = {}): AsyncGenerator<T> {
  const { clock = systemClock, began = clock.now() } = options;
  return metered(chunks, began, clock, options); // a generator's own body would wait for the first next()
}

async function* metered<T>(
  chunks: AsyncIterable<T>,
  began: number,
  clock: Clock,
  { onFirstChunk, onEnd }: MeterOptions,
): AsyncGenerator<T> {
  let count = 0;
  let firstChunkMs: number | undefined;
  let outcome: StreamEnd['outcome'] = 'aborted';
  let failure: { error?: unknown } = {};
  try {
    for await (const chunk of chunks) {
      count++;
      if (firstChunkMs === undefined) {
        firstChunkMs = clock.now() - began;
        onFirstChunk?.(firstChunkMs);
      }
      yield chunk;
    }
    outcome = 'complete';
  } catch (error) {
    outcome = 'failed';
    failure = { error };
    throw error;
  } finally {
    onEnd?.({ outcome, chunks: count, firstChunkMs, totalMs: clock.now() - began, ...failure });
  }
}
