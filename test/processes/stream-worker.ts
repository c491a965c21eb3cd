import { setTimeout as pause } from 'node:timers/promises';
import { createCache } from '@warmpath/core/cache';
import { redisStore } from '@warmpath/core/redis';

/**
 * One process of a few on one Redis, for test/shared-streams.test.ts: it reads streams as it is told, until it is killed. What
 * it is asked to read it produces itself where the cache says so, and tells the parent.
 */
const [url = ''] = process.argv.slice(2);

/** One reader of a stream. */
export interface Order {
  readonly id: number;
  readonly key: string;
  /** How the source of the key is: so many chunks, one every so often, after so long. */
  readonly chunks: number;
  readonly everyMs: number;
  readonly silentMs: number;
  /** Leaves when it has had so many. */
  readonly leavesAfter?: number;
}

export interface Chunk {
  /** Tells one production from another. */
  readonly run: string;
  readonly index: number;
  /** When it was made, on the clock that all processes of the machine share. */
  readonly at: number;
}

export type Report =
  | { readonly type: 'ready' }
  | { readonly type: 'produced'; readonly key: string; readonly run: string; readonly pid: number }
  | {
      readonly type: 'read';
      readonly id: number;
      readonly pid: number;
      readonly level: string;
      readonly runs: readonly string[];
      /** Whether each chunk came once and in order. */
      readonly isInOrder: boolean;
      readonly count: number;
      readonly hasLeft: boolean;
      readonly error: string | null;
      /** From the call on. */
      readonly firstChunkMs: number;
      /** From the source to here, of those chunks that did not wait for the reader to come. */
      readonly liveMs: readonly number[];
    };

const store = redisStore(url, { leaseTtl: '2s' });
// The machine has fewer cores than the test has processes: the deadline is not the question here.
const cache = createCache({ name: 'streams', store, storeTimeout: '1s' });
let runs = 0;

async function* produce({ key, chunks, everyMs, silentMs }: Order): AsyncGenerator<Chunk> {
  const run = `${process.pid}/${++runs}`;
  tell({ type: 'produced', key, run, pid: process.pid });
  if (silentMs > 0) await pause(silentMs);
  for (let index = 0; index < chunks; index++) {
    if (everyMs > 0) await pause(everyMs);
    yield { run, index, at: now() };
  }
}

async function read(order: Order): Promise<void> {
  const seen: Chunk[] = [];
  const liveMs: number[] = [];
  const began = now();
  let firstChunkMs = Number.NaN;
  let error: string | null = null;
  let level = '';
  let hasLeft = false;
  try {
    const stream = await cache.stream(order.key, () => produce(order));
    level = stream.level;
    for await (const chunk of stream.chunks) {
      if (seen.length === 0) firstChunkMs = now() - began;
      if (chunk.at > began + 100) liveMs.push(now() - chunk.at);
      seen.push(chunk);
      hasLeft = seen.length === order.leavesAfter;
      if (hasLeft) break;
    }
  } catch (thrown) {
    error = String((thrown as { code?: string }).code ?? thrown);
  }
  const isInOrder = seen.every(({ index }, position) => index === position);
  const of = { runs: [...new Set(seen.map(({ run }) => run))], isInOrder, count: seen.length, hasLeft, error };
  tell({ type: 'read', id: order.id, pid: process.pid, level, firstChunkMs, liveMs, ...of });
}

/** Microseconds count here. */
function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

function tell(report: Report): void {
  process.send?.(report);
}

process.on('message', (order: Order) => void read(order));
await cache.get('anything');
tell({ type: 'ready' });
