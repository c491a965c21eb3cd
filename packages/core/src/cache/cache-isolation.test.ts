import { describe, expect, it } from 'vitest';
import { deferred, setUp, setUpWithStore } from '../../test/cache-set-up.js';
import type { CachedStream, Isolation } from './index.js';

interface Data {
  list: number[];
  bytes: Uint8Array;
}

const original = (): Data => ({ list: [1, 2], bytes: Uint8Array.of(1, 2) });

/** Changes what it can of a value. */
function spoil(value: Data): void {
  for (const change of [
    () => value.list.push(9),
    () => value.bytes.fill(9),
    () => Reflect.deleteProperty(value, 'list'),
  ])
    try {
      change();
    } catch {
      // frozen, which is as good
    }
}

async function drain<C>(stream: CachedStream<C>): Promise<C[]> {
  const chunks: C[] = [];
  for await (const chunk of stream.chunks) chunks.push(chunk);
  return chunks;
}

describe.each<Isolation>(['frozen', 'copy'])('a value, %s,', (isolation) => {
  it('is nobody else’s, be they the one who computed it, who joined, or who hit', async () => {
    const { cache, clock } = setUp({ isolation });
    const { compute, resolve } = deferred<Data>();
    const waiting = [1, 2, 3].map(() => cache.getOrSet('key', compute));
    await clock.settle();
    const computed = original();
    resolve(computed);
    const values = [...(await Promise.all(waiting)), await cache.getOrSet('key', compute), cache.peek<Data>('key')];
    spoil(computed);
    for (const value of values) {
      expect(value).toEqual(original());
      spoil(value as Data);
    }
    expect(cache.peek('key')).toEqual(original());
    expect(await cache.get('key')).toMatchObject({ value: original() });
  });

  it('is nobody else’s when it comes from the store', async () => {
    const { cache, clock, another } = setUpWithStore({ isolation });
    await cache.set('key', original());
    await clock.settle();
    const other = another().cache;
    const values = await Promise.all([1, 2].map(() => other.resolve<Data>('key', original)));
    expect(values.map(({ level }) => level)).toEqual(['store', 'shared']);
    for (const { value } of values) {
      expect(value).toEqual(original());
      spoil(value);
    }
    expect(other.peek('key')).toEqual(original());
    spoil((await other.get<Data>('key'))?.value as Data);
    expect(await another().cache.get('key')).toMatchObject({ value: original() });
  });

  it('is nobody else’s among many, also where a key comes twice', async () => {
    const { cache } = setUp({ isolation });
    const keys = ['a', 'b', 'a'];
    const compute = (missing: readonly string[]) => missing.map(original);
    for (let round = 0; round < 2; round++) {
      for (const value of await cache.getOrSetMany(keys, compute)) {
        expect(value).toEqual(original());
        spoil(value);
      }
      for (const result of await cache.getMany<Data>(keys)) {
        expect(result?.value).toEqual(original());
        spoil(result?.value as Data);
      }
    }
  });

  it('is nobody else’s when it is set, stale, or the previous one of a computation', async () => {
    const { cache, clock } = setUp({ isolation, ttl: '1s', staleWhileRevalidate: '1m' });
    const set = original();
    await cache.set('key', set);
    spoil(set);
    await clock.advance(1_000);
    const stale = await cache.getOrSet<Data>('key', ({ previous, notModified }) => {
      spoil(previous?.value as Data);
      return notModified();
    });
    expect(stale).toEqual(original());
    spoil(stale);
    await clock.settle();
    expect(cache.peek('key')).toEqual(original());
  });

  it('is nobody else’s when it could not be kept', async () => {
    const { cache, clock } = setUp({ isolation });
    const { compute, resolve } = deferred<Data>();
    const waiting = [1, 2].map(() => cache.getOrSet('key', compute, { ttl: 0 }));
    await clock.settle();
    resolve(original());
    for (const value of await Promise.all(waiting)) {
      expect(value).toEqual(original());
      spoil(value);
    }
  });

  it('is nobody else’s as a chunk of a stream, live or replayed', async () => {
    const { cache } = setUp({ isolation });
    const produce = async function* (): AsyncGenerator<Data> {
      yield original();
      yield original();
    };
    const live = await Promise.all([1, 2].map(async () => drain(await cache.stream('key', produce))));
    const all = [
      ...live,
      await drain(await cache.stream('key', produce)),
      await drain(await cache.stream('key', produce)),
    ];
    for (const chunks of all) {
      expect(chunks).toEqual([original(), original()]);
      chunks.forEach(spoil);
    }
  });

  it('is handed out but not kept when it has no copy', async () => {
    const { cache, log } = setUp({ isolation });
    const value = { call: () => 1 };
    expect(await cache.getOrSet('key', () => value)).toBe(value);
    expect(cache.peek('key')).toBeUndefined();
    expect(log).toEqual(['cache.miss', 'cache.computed', 'cache.unstored not-cloneable']);
  });

  it('is data to everybody, the first one included, so that a class is missed at the first call', async () => {
    class User {
      name = 'Ada';
    }
    const { cache } = setUp({ isolation });
    const made = new User();
    const both = [await cache.getOrSet('key', () => made), await cache.getOrSet('key', () => made)];
    expect(both.map((each) => each instanceof User)).toEqual([false, false]);
    expect(both).toEqual([{ name: 'Ada' }, { name: 'Ada' }]);
    expect(both[0]).not.toBe(made);
  });

  it('stays a Buffer of just its own bytes', async () => {
    const { cache } = setUp({ isolation });
    await cache.getOrSet('key', () => Buffer.from('hello'));
    const hit = await cache.getOrSet('key', () => Buffer.from('other'));
    expect(Buffer.isBuffer(hit)).toBe(true);
    expect(hit.toString()).toBe('hello');
    expect(hit.buffer.byteLength).toBe(5);
  });
});

it('is frozen by default: one object for everybody, and the original stays as it was', async () => {
  const { cache } = setUp();
  const made = { list: [1] };
  const first = await cache.getOrSet('key', () => made);
  expect(await cache.getOrSet('key', () => made)).toBe(first);
  expect([Object.isFrozen(first), Object.isFrozen(first.list), Object.isFrozen(made)]).toEqual([true, true, false]);
});

it('is a copy for each, which they may change, where copies are asked for', async () => {
  const { cache } = setUp({ isolation: 'copy' });
  const compute = () => ({ list: [1] });
  const values = [await cache.getOrSet('key', compute), await cache.getOrSet('key', compute)];
  for (const value of values) value.list.push(2);
  expect(values).toEqual([{ list: [1, 2] }, { list: [1, 2] }]);
});

it('is the very thing, functions, classes and changes included, where it is shared', async () => {
  const { cache } = setUp({ isolation: 'shared' });
  const socket = { send: () => 'sent', list: [1] };
  const first = await cache.getOrSet('key', () => socket);
  first.list.push(2);
  expect(first).toBe(socket);
  expect(cache.peek('key')).toBe(socket);
  expect(await cache.getOrSetMany(['key', 'key'], () => [])).toEqual([socket, socket]);
});
