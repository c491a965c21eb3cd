import { randomBytes } from 'node:crypto';
import { describe, expect, it, vi } from 'vitest';
import { setUp, setUpWithStore } from '../../test/cache-set-up.js';
import { drain, follow, letters, tap } from '../../test/stream-set-up.js';
import { isWarmpathError } from '../kernel/index.js';
import { createFakeClock, type FakeClock, type MemoryStore, memoryStore } from '../testing/index.js';
import type { CacheOptions, CacheStore, StreamComputation } from './index.js';

type Options = Omit<Partial<CacheOptions>, 'clock' | 'store'>;

interface Peers {
  readonly clock: FakeClock;
  readonly a: ReturnType<typeof setUp>;
  readonly b: ReturnType<typeof setUp>;
  readonly c: ReturnType<typeof setUp>;
}

/** Three processes on one store, whatever is put before it. */
function peers(options: Options = {}, before: (store: MemoryStore) => CacheStore = (store) => store): Peers {
  const clock = createFakeClock();
  const plain = memoryStore({ clock });
  const peer = (): ReturnType<typeof setUp> => setUp({ ...options, clock, store: before(plain.peer()) });
  return { clock, a: peer(), b: peer(), c: peer() };
}

const bytes = (size: number): Uint8Array => new Uint8Array(size).fill(7);

describe('what may not be shared', () => {
  it('is more than the bound: who follows fails, who comes then begins anew, who reads at its source has all', async () => {
    const { clock, a, b, c } = peers({ maxStreamBytes: '100kB', maxBytes: '10MB' });
    const source = tap<Uint8Array>();
    const ours = follow(await a.cache.stream('key', source.produce));
    const theirs = follow(await b.cache.stream('key', tap<Uint8Array>().produce));
    await clock.advance(100);
    for (let index = 0; index < 10; index++) {
      source.give(bytes(20_000));
      await clock.advance(50);
    }
    const reason = await theirs.end.catch((error) => error);
    expect(isWarmpathError(reason, 'WP_STREAM_LOST')).toBe(true);
    expect(theirs.chunks.length).toBeGreaterThan(2);
    expect(await drain(c.cache.stream('key', letters))).toEqual(['a', 'b', 'c']);
    source.end();
    await ours.end;
    expect(ours.chunks).toHaveLength(10);
  });

  it('has lost its beginning already: who comes begins anew at once', async () => {
    const { clock, a, b } = peers({ maxStreamBytes: '50kB', maxBytes: '10MB' });
    const source = tap<Uint8Array>();
    follow(await a.cache.stream('key', source.produce));
    for (let index = 0; index < 5; index++) {
      source.give(bytes(20_000));
      await clock.settle();
    }
    const theirs = await b.cache.stream('key', letters);
    expect([theirs.level, await drain(theirs)]).toEqual(['computed', ['a', 'b', 'c']]);
  });

  it('is no data, such as functions: who waits for it produces it itself', async () => {
    const { clock, a, b } = peers();
    const source = tap<unknown>();
    const ours = follow(await a.cache.stream('key', source.produce));
    const theirs = drain(b.cache.stream('key', letters));
    source.give(() => 1);
    await clock.advance(500);
    expect(await theirs).toEqual(['a', 'b', 'c']);
    expect(ours.chunks).toHaveLength(1);
  });

  it('is in a form that is not known: it counts as none', async () => {
    const { clock, a, b } = peers({}, (store) => ({
      ...store,
      streaming: {
        ...store.streaming,
        read: async (read) => {
          const { isThere, pieces } = await store.streaming.read(read);
          return { isThere, pieces: pieces.map((each) => ({ ...each, bytes: Buffer.from('something else') })) };
        },
      },
    }));
    const source = tap();
    follow(await a.cache.stream('key', source.produce));
    const theirs = drain(b.cache.stream('key', letters));
    source.give('a');
    await clock.advance(200);
    expect(await theirs).toEqual(['a', 'b', 'c']);
  });

  it('goes through the codec of the cache, under a key that fits no other place', async () => {
    const seen: Uint8Array[] = [];
    const encryption = { current: 'k', keys: { k: randomBytes(32) } };
    const { clock, a, b } = peers({ encryption }, (store) => ({
      ...store,
      streaming: {
        ...store.streaming,
        append: (append) => {
          seen.push(...append.pieces.map((piece) => piece.bytes));
          return store.streaming.append(append);
        },
      },
    }));
    const source = tap();
    follow(await a.cache.stream('key', source.produce));
    const theirs = follow(await b.cache.stream('key', letters));
    source.give('a secret');
    await clock.advance(100);
    expect(theirs.chunks).toEqual(['a secret']);
    expect(seen).toHaveLength(1);
    expect(seen.map((each) => Buffer.from(each).toString('latin1')).join()).not.toContain('secret');
  });
});

describe('an invalidation while a stream is followed', () => {
  it('lets who reads already go on to the end, here and there, while newcomers begin anew, and keeps nothing', async () => {
    for (const invalidate of [
      ({ b }: Peers) => b.cache.delete('key'),
      ({ c }: Peers) => c.cache.invalidateTags(['named']),
      ({ c }: Peers) => c.cache.clear(),
    ]) {
      const set = peers();
      const { clock, a, b, c } = set;
      const source = tap();
      const produce = (computation: StreamComputation): AsyncGenerator<string> => {
        computation.addTags('named');
        return source.produce(computation);
      };
      const ours = follow(await a.cache.stream('key', produce));
      const theirs = follow(await b.cache.stream('key', letters));
      source.give('old');
      await clock.advance(100);
      await invalidate(set);
      const newcomer = tap();
      const fresh = [b, c, a].map(async ({ cache }) => drain(cache.stream('key', newcomer.produce)));
      await clock.advance(100);
      newcomer.give('new');
      newcomer.end();
      source.give('older');
      source.end();
      await clock.advance(3_000);
      await Promise.all([ours.end, theirs.end]);
      expect([ours.chunks, theirs.chunks]).toEqual([
        ['old', 'older'],
        ['old', 'older'],
      ]);
      expect(await Promise.all(fresh)).toEqual([['new'], ['new'], ['new']]);
      expect(newcomer.seen.begun).toBe(1);
      expect(await drain(c.cache.stream('key', letters))).toEqual(['new']);
    }
  });

  it('by a tag that only its producer knows rules who has never followed it as well', async () => {
    const { clock, a, b, c } = peers();
    const source = tap();
    const produce = (computation: StreamComputation): AsyncGenerator<string> => {
      computation.addTags('named');
      return source.produce(computation);
    };
    follow(await a.cache.stream('key', produce));
    follow(await b.cache.stream('key', letters));
    source.give('old');
    await clock.advance(100);
    await b.cache.invalidateTags(['named']);
    const fresh = vi.fn(letters);
    const reading = drain(c.cache.stream('key', fresh));
    await clock.advance(500);
    expect(await reading).toEqual(['a', 'b', 'c']);
    expect(fresh).toHaveBeenCalledOnce();
  });
});

describe('a store that', () => {
  it('tells nothing is looked at again and again, never hot', async () => {
    let calls = 0;
    const { clock, a, b } = peers({}, (store) => ({
      ...store,
      openFeed: (namespace) => {
        const { poll, close } = store.openFeed?.(namespace) ?? { poll: () => undefined, close: () => {} };
        return { poll, close };
      },
      streaming: {
        ...store.streaming,
        read: (read) => {
          calls++;
          return store.streaming.read(read);
        },
      },
    }));
    const source = tap();
    follow(await a.cache.stream('key', source.produce));
    const theirs = follow(await b.cache.stream('key', letters));
    source.give('a');
    await clock.advance(3_000);
    expect(theirs.chunks).toEqual(['a']);
    calls = 0;
    await clock.advance(60_000);
    expect(calls).toBeLessThan(130);
    source.give('b');
    await clock.advance(1_100);
    expect(theirs.chunks).toEqual(['a', 'b']);
  });

  it.each(['its log', 'all of it'])(
    'has lost %s of a stream gets it once more, and who follows reads on',
    async (what) => {
      let life = 1;
      let stillFollowed = async (): Promise<unknown> => undefined;
      const { clock, a, b } = peers({}, (store) => ({
        ...store,
        streaming: {
          holder: (of) => store.streaming.holder(of),
          append: (append) => store.streaming.append({ ...append, run: `${append.run}/${life}` }),
          read: (read) => {
            stillFollowed = () => store.streaming.read({ ...read, run: `${read.run}/${life}` });
            return store.streaming.read({ ...read, run: `${read.run}/${life}` });
          },
        },
      }));
      const lose = async (): Promise<void> => {
        life++;
        if (what === 'its log') await stillFollowed();
      };
      const source = tap();
      const ours = follow(await a.cache.stream('key', source.produce));
      const theirs = follow(await b.cache.stream('key', letters));
      for (const chunk of 'abcdef') {
        source.give(chunk);
        await clock.advance(30);
      }
      await lose();
      await clock.advance(2_500);
      source.give('g');
      await clock.advance(100);
      await lose();
      source.give('h');
      await clock.advance(2_500);
      source.end();
      await clock.advance(2_500);
      await Promise.all([ours.end, theirs.end]);
      expect(theirs.chunks).toEqual([...'abcdefgh']);
      await clock.advance(10_000);
      expect(clock.pending).toBe(0);
    },
  );

  it('is away for a while costs nobody the stream, and one that stays away a typed error', async () => {
    for (const [awayMs, isLost] of [
      [4_000, false],
      [40_000, true],
    ] as const) {
      const set = setUpWithStore();
      const other = set.another();
      const source = tap();
      const ours = follow(await other.cache.stream('key', source.produce));
      const theirs = follow(await set.cache.stream('key', letters));
      source.give('a');
      await set.clock.advance(100);
      set.store.trouble('reject');
      source.give('b');
      await set.clock.advance(awayMs);
      set.store.trouble(undefined);
      await set.clock.advance(10_000);
      source.end();
      await set.clock.advance(100);
      await ours.end;
      const reason = await theirs.end.catch((error) => error);
      expect(isWarmpathError(reason, 'WP_STREAM_LOST')).toBe(isLost);
      expect(theirs.chunks).toEqual(isLost ? ['a'] : ['a', 'b']);
    }
  });

  it('does not answer while a stream is waited for makes each produce it for itself', async () => {
    const set = setUpWithStore();
    follow(await set.another().cache.stream('key', tap().produce)); // and gives nothing
    const waiting = drain(set.cache.stream('key', letters));
    await set.clock.advance(500);
    set.store.trouble('hang');
    await set.clock.advance(1_100);
    expect(await waiting).toEqual(['a', 'b', 'c']);
  });

  it('takes only what is fenced by a lease has the stream, whether it shares streams or not', async () => {
    for (const isSharing of [true, false]) {
      const { clock, a, b } = peers({}, ({ streaming, leasing, ...store }) => {
        const fences = new Set<unknown>();
        return {
          ...store,
          ...(isSharing && { streaming }),
          leasing: {
            ...leasing,
            acquire: async (request) => {
              const leases = await leasing.acquire(request);
              fences.add(leases.fence);
              return leases;
            },
          },
          setMany: async (write) =>
            write.entries.every(({ fence }) => fences.has(fence))
              ? store.setMany(write)
              : write.entries.map(() => false),
        };
      });
      await drain(a.cache.stream('key', letters));
      await clock.settle();
      const stream = await b.cache.stream('key', tap().produce);
      expect([stream.level, await drain(stream)]).toEqual(['store', ['a', 'b', 'c']]);
    }
  });

  it('has leases and no streams lets each process produce, and hold up nobody', async () => {
    const { clock, a, b } = peers({}, ({ streaming: _, ...store }) => store);
    follow(await a.cache.stream('key', tap().produce));
    await clock.settle();
    const theirs = await b.cache.stream('key', letters);
    expect([theirs.level, await drain(theirs)]).toEqual(['computed', ['a', 'b', 'c']]);
  });
});
