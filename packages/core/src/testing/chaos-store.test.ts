import { describe, expect, it } from 'vitest';
import type { StoredEntry } from '../cache/index.js';
import { chaosStore, createFakeClock, memoryStore, storeContract, type Trouble } from './index.js';

const entry: StoredEntry = {
  bytes: Buffer.from('value'),
  storedAt: 1,
  freshUntil: 2,
  keptUntil: 3,
  computeMs: 4,
  tags: [],
};

function setUp() {
  const clock = createFakeClock();
  const inner = memoryStore({ name: 'shelf' });
  const store = chaosStore(inner, { clock });
  const { signal } = new AbortController();
  const namespace = 'n';
  return {
    clock,
    inner,
    store,
    read: (...keys: string[]) => store.getMany({ namespace, keys, tags: [], signal }),
    write: (...keys: string[]) =>
      store.setMany({ namespace, entries: keys.map((key) => ({ key, entry, fence: undefined })), signal }),
    forget: (...keys: string[]) => store.invalidate({ namespace, invalidation: { type: 'delete', keys }, signal }),
    isThere: async (key: string) =>
      (await inner.getMany({ namespace, keys: [key], tags: [], signal })).entries[0] !== undefined,
  };
}

describe('chaosStore', () => {
  for (const { name, run } of storeContract(() => chaosStore(memoryStore(), { clock: createFakeClock() })))
    it(`without trouble ${name}`, run);

  it('lists every call with its keys, also those that fail', async () => {
    const { store, read, write, forget } = setUp();
    await write('a', 'b');
    store.trouble('reject');
    await Promise.allSettled([read('a', 'c'), forget('b')]);
    store.trouble(undefined);
    const { signal } = new AbortController();
    await store.invalidate({ namespace: 'n', invalidation: { type: 'tags', tags: ['x', 'y'] }, signal });
    await store.invalidate({ namespace: 'n', invalidation: { type: 'clear' }, signal });
    expect(store.calls).toEqual([
      'setMany a b',
      'getMany a c',
      'invalidate delete b',
      'invalidate tags x y',
      'invalidate clear',
    ]);
  });

  it('rejects, throws, or has no space left', async () => {
    const { store, read, write, forget } = setUp();
    store.trouble('reject');
    await expect(read('a')).rejects.toThrow('shelf failed (getMany)');
    store.trouble('throw');
    expect(() => read('a')).toThrow('shelf threw (getMany)');
    store.trouble('full');
    await expect(write('a')).rejects.toMatchObject({ code: 'ENOSPC' });
    await expect(forget('a')).rejects.toMatchObject({ code: 'ENOSPC' });
    expect((await read('a')).entries).toEqual([undefined]);
  });

  it('leaves the other operations alone', async () => {
    const { store, read, write, forget } = setUp();
    store.trouble('reject', 'setMany');
    await expect(write('a')).rejects.toThrow();
    await forget('a');
    expect((await read('a')).entries).toHaveLength(1);
  });

  it('hangs for good', async () => {
    const { store, read, clock } = setUp();
    store.trouble('hang', 'getMany');
    let isSettled = false;
    const settled = (): void => {
      isSettled = true;
    };
    read('a').then(settled, settled);
    await clock.advance(1_000_000);
    expect(isSettled).toBe(false);
  });

  it('answers a late read with what was there when it was asked, and lets a late write land late', async () => {
    const { store, read, write, forget, isThere, clock } = setUp();
    await write('a');
    store.trouble(20);
    const reading = read('a');
    const writing = write('b');
    const forgetting = forget('a');
    await clock.advance(19);
    expect([await isThere('a'), await isThere('b')]).toEqual([true, false]);
    await clock.advance(1);
    expect([await isThere('a'), await isThere('b')]).toEqual([false, true]);
    expect((await reading).entries[0]).toBeDefined();
    await Promise.all([writing, forgetting]);
  });

  it('flaps: by a list for the next calls, or by a function', async () => {
    const { store, read, write } = setUp();
    const outcomes = async (count: number): Promise<string> => {
      const done = await Promise.allSettled(Array.from({ length: count }, () => read('a')));
      return done.map(({ status }) => (status === 'fulfilled' ? '+' : '-')).join('');
    };
    store.trouble(['reject', undefined, 'reject'], 'getMany');
    expect(await outcomes(6)).toBe('-+-+++');
    let calls = 0;
    store.trouble((operation): Trouble | undefined => (operation === 'getMany' && calls++ % 2 ? 'reject' : undefined));
    expect(await outcomes(5)).toBe('+-+-+');
    await write('a');
  });

  it('has a feed where the store behind it has one, and only there', () => {
    const { store, inner } = setUp();
    const feed = store.openFeed?.('n');
    const { signal } = new AbortController();
    void inner.peer().invalidate({ namespace: 'n', invalidation: { type: 'clear' }, signal });
    expect(feed?.poll()).toEqual([{ type: 'clear' }]);
    const { openFeed: _, ...silent } = memoryStore();
    expect('openFeed' in chaosStore(silent, { clock: createFakeClock() })).toBe(false);
  });
});
