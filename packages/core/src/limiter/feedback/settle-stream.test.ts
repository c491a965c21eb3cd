import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../../testing/index.js';
import type { Cost, CostByUnit, Lease, LeaseEnd } from '../contract.js';
import { settleFromStream } from './settle-stream.js';

/** A lease that notes what happens to it, in order, with the time. */
function setUp(ttlMs = 10_000) {
  const clock = createFakeClock();
  const log: unknown[] = [];
  let until = ttlMs;
  const lease: Lease = {
    reserved: { outputTokens: 100 },
    get leftMs() {
      return Math.max(0, until - clock.now());
    },
    settle(actual?: Cost, end?: LeaseEnd) {
      log.push(['settle', actual, end]);
      until = 0;
    },
    extend(ttl) {
      log.push(['extend', ttl, clock.now()]);
      until = clock.now() + Number(ttl);
    },
    [Symbol.dispose]() {},
  };
  const used = (tokens: number, { outputTokens = 0 }: CostByUnit): CostByUnit | undefined =>
    tokens > 0 ? { outputTokens: outputTokens + tokens } : undefined;
  const source = async function* (
    tokens: readonly number[],
    { everyMs = 0, error }: { everyMs?: number; error?: Error } = {},
  ) {
    try {
      for (const each of tokens) {
        await clock.advance(everyMs);
        yield each;
      }
      if (error) throw error;
    } finally {
      log.push('closed');
    }
  };
  return { clock, log, lease, used, source };
}

async function all<T>(chunks: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const chunk of chunks) list.push(chunk);
  return list;
}

describe('settleFromStream', () => {
  it('passes the chunks on and settles at what they say in the end', async () => {
    const { lease, log, source, used } = setUp();
    expect(await all(settleFromStream(lease, source([3, 0, 4]), used))).toEqual([3, 0, 4]);
    expect(log).toEqual(['closed', ['settle', { outputTokens: 7 }, 'complete']]);
  });

  it('settles at what was used when the stream fails, and passes the error on', async () => {
    const { lease, log, source, used } = setUp();
    const error = new Error('reset');
    await expect(all(settleFromStream(lease, source([3, 4], { error }), used))).rejects.toBe(error);
    expect(log).toEqual(['closed', ['settle', { outputTokens: 7 }, 'cut']]);
  });

  it('leaves at what was reserved whatever the stream says nothing of', async () => {
    const { lease, log, source, used } = setUp();
    await expect(all(settleFromStream(lease, source([], { error: new Error() }), used))).rejects.toThrow();
    expect(log).toEqual(['closed', ['settle', {}, 'cut']]);
  });

  it('settles once and before it closes the source when its reader leaves', async () => {
    const { lease, log, source, used } = setUp();
    for await (const _ of settleFromStream(lease, source([3, 4, 5]), used)) break;
    expect(log).toEqual([['settle', { outputTokens: 3 }, 'cut'], 'closed']);
  });

  it('settles even if the source does not close', async () => {
    const { lease, log, used } = setUp();
    const stuck: AsyncIterable<number> = {
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.resolve({ done: false, value: 3 }),
        return: () => new Promise(() => {}),
      }),
    };
    const chunks = settleFromStream(lease, stuck, used);
    await chunks.next();
    void chunks.return(undefined);
    await Promise.resolve();
    expect(log).toEqual([['settle', { outputTokens: 3 }, 'cut']]);
  });

  it('settles once when its reader throws into it', async () => {
    const { lease, log, source, used } = setUp();
    const chunks = settleFromStream(lease, source([3, 4]), used);
    await chunks.next();
    const error = new Error('reader');
    await expect(chunks.throw(error)).rejects.toBe(error);
    await chunks.return(undefined);
    expect(log).toEqual([['settle', { outputTokens: 3 }, 'cut'], 'closed']);
  });

  it('settles at what was counted before the counting failed', async () => {
    const { lease, log, source } = setUp();
    const count = (tokens: number): CostByUnit => {
      if (tokens > 3) throw new TypeError('no usage');
      return { outputTokens: tokens };
    };
    await expect(all(settleFromStream(lease, source([3, 4]), count))).rejects.toThrow('no usage');
    expect(log).toEqual(['closed', ['settle', { outputTokens: 3 }, 'cut']]);
  });

  it('extends the lease past half of its time, on chunks, counting from when it was handed over', async () => {
    const { clock, lease, log, source, used } = setUp(10_000);
    const chunks = settleFromStream(lease, source(Array(8).fill(1), { everyMs: 2_000 }), used);
    await clock.advance(1_000);
    await all(chunks);
    expect(log).toEqual([
      ['extend', 10_000, 7_000],
      ['extend', 10_000, 13_000],
      'closed',
      ['settle', { outputTokens: 8 }, 'complete'],
    ]);
  });

  it('does not extend what has expired', async () => {
    const { lease, log, source, used } = setUp(1_000);
    await all(settleFromStream(lease, source([1], { everyMs: 2_000 }), used));
    expect(log).toEqual(['closed', ['settle', { outputTokens: 1 }, 'complete']]);
  });

  it('touches nothing while it is not read', async () => {
    const { lease, log, source, used } = setUp();
    await settleFromStream(lease, source([3]), used).return(undefined);
    expect(log).toEqual([]);
  });
});
