import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFakeClock, storeContract } from '../../testing/index.js';
import { packEntry } from '../envelope.js';
import type { Fence, Invalidation, StoredEntry } from '../store.js';
import { keyvStore } from './keyv.js';
import type { KeyvLike, KeyvText } from './keyv-calls.js';

/** The least that counts as a Keyv: texts in a Map. */
function bareKeyv(texts = new Map<string, unknown>()) {
  const ttls = new Map<string, number | undefined>();
  return {
    texts,
    ttls,
    get: async (key: string): Promise<unknown> => texts.get(key),
    async set(key: string, value: string, ttlMs?: number): Promise<unknown> {
      ttls.set(key, ttlMs);
      return texts.set(key, value);
    },
    delete: async (key: string): Promise<unknown> => texts.delete(key),
  };
}

/** One that takes many at once, as Keyv 5 and 6 do, counts its calls, and swallows its failures as they do. */
function bulkKeyv(texts = new Map<string, unknown>()) {
  const bare = bareKeyv(texts);
  const calls: string[] = [];
  const listeners: ((error: unknown) => void)[] = [];
  const failing = new Map<string, { answer: unknown; error?: unknown }>();
  const meet = async <T>(operation: string, call: () => Promise<T>): Promise<unknown> => {
    calls.push(operation);
    const failure = failing.get(operation);
    if (!failure) return call();
    if (failure.error !== undefined) for (const listener of listeners) listener(failure.error);
    return failure.answer;
  };
  return {
    ...bare,
    calls,
    failing,
    on: (_: 'error', listener: (error: unknown) => void) => listeners.push(listener),
    get: (key: string) => meet('get', () => bare.get(key)),
    getMany: (keys: string[]) => meet('getMany', () => Promise.all(keys.map(bare.get))),
    set: (key: string, value: string, ttlMs?: number) => meet('set', () => bare.set(key, value, ttlMs)),
    setMany: (entries: KeyvText[]) =>
      meet('setMany', () => Promise.all(entries.map(({ key, value, ttl }) => bare.set(key, value, ttl)))),
    delete: (key: string) => meet('delete', () => bare.delete(key)),
    deleteMany: (keys: string[]) => meet('deleteMany', () => Promise.all(keys.map(bare.delete))),
  };
}

const { signal } = new AbortController();
const dayMs = 86_400_000;
const anyText = fc.string({ unit: 'binary', maxLength: 120 });

function setUp(keyv = bulkKeyv()) {
  const clock = createFakeClock();
  const store = keyvStore(keyv, { clock });
  const entryOf = (text: string, tags: readonly string[] = [], keptMs = 60_000): StoredEntry => {
    const now = clock.wall();
    return { bytes: Buffer.from(text), storedAt: now, freshUntil: now, keptUntil: now + keptMs, computeMs: 1, tags };
  };
  const { calls } = keyv;
  return {
    keyv,
    clock,
    store,
    entryOf,
    read: (keys: string[], tags: string[] = []) => store.getMany({ namespace: 'n', keys, tags, signal }),
    write: (key: string, entry: StoredEntry, fence?: Fence) =>
      store.setMany({ namespace: 'n', entries: [{ key, entry, fence }], signal }),
    tell: (invalidation: Invalidation) => store.invalidate({ namespace: 'n', invalidation, signal }),
    /** What `run` asks of the Keyv. */
    async callsOf(run: () => Promise<unknown>): Promise<string[]> {
      const from = calls.length;
      await run();
      return calls.slice(from);
    },
  };
}

/** The keys of one kind: `e`: entries. `t`: tags. `a`: all tags. `n`: the namespace. */
const keysOf = (texts: ReadonlyMap<string, unknown>, kind: string): string[] =>
  [...texts.keys()].filter((key) => key.startsWith(`wp-${kind}`));

for (const [what, keyvOver] of [
  ['that has the least there is', bareKeyv],
  ['that takes many at once', bulkKeyv],
] as const) {
  describe(`the contract, kept over a Keyv ${what}`, () => {
    let texts = new Map<string, unknown>();
    const make = () => {
      texts = new Map();
      return keyvStore(keyvOver(texts));
    };
    const makePair = () => [make(), keyvStore(keyvOver(texts))] as const;
    const damage = ({ namespace, key }: { namespace: string; key: string }) => {
      const place = keysOf(texts, 'e').find((each) => each.endsWith(`/${namespace}/${key}`)) ?? '';
      const text = String(texts.get(place));
      texts.set(place, `${text.slice(0, 60)}${text[60] === 'A' ? 'B' : 'A'}${text.slice(61)}`);
    };
    for (const { name, run } of storeContract(make, { fencesKeys: false, damage, makePair })) it(name, run);
  });
}

describe('a round trip', () => {
  it('is what a read costs whose tags are known, hit or miss; a second one is for tags that are found', async () => {
    const { read, write, entryOf, callsOf } = setUp();
    await write('a', entryOf('a', ['x']));
    await write('b', entryOf('b', ['y', 'z']));
    await read([]);
    expect(await callsOf(() => read(['a', 'none'], ['x']))).toEqual(['getMany']);
    expect(await callsOf(() => read(['a', 'b'], ['x']))).toEqual(['getMany', 'getMany']);
    expect(await callsOf(() => read(['a', 'b']))).toEqual(['getMany', 'getMany']);
  });

  it('more is needed once for markers that are new, which are looked for again before they are made', async () => {
    const { read, callsOf } = setUp();
    const looked = ['getMany', 'getMany', 'getMany'];
    expect(await callsOf(() => read(['a'], ['x', 'y']))).toEqual([...looked, 'set', 'setMany']);
    expect(await callsOf(() => read(['a'], ['x', 'y']))).toEqual(['getMany']);
    expect(await callsOf(() => read(['a'], ['x', 'new']))).toEqual(['getMany', 'getMany', 'set']);
  });

  it('looks before it writes, and a third time for tags that were found out late', async () => {
    const { read, store, write, entryOf, callsOf } = setUp();
    const { fence } = await read(['a', 'b'], ['x', 'late']);
    expect(await callsOf(() => write('a', entryOf('a', ['x']), fence))).toEqual(['getMany', 'set']);
    const entries = ['a', 'b'].map((key) => ({ key, entry: entryOf(key, ['x']), fence }));
    expect(await callsOf(() => store.setMany({ namespace: 'n', entries, signal }))).toEqual(['getMany', 'setMany']);
    const { fence: unknowing } = await read(['c']);
    expect(await callsOf(() => write('c', entryOf('c', ['late']), unknowing))).toEqual(['getMany', 'getMany', 'set']);
  });

  it('is what an invalidation costs, two for tags and for expiry', async () => {
    const { write, entryOf, tell, callsOf } = setUp();
    await write('a', entryOf('a'));
    await write('b', entryOf('b'));
    expect(await callsOf(() => tell({ type: 'expire', keys: ['a', 'b'] }))).toEqual(['getMany', 'setMany']);
    expect(await callsOf(() => tell({ type: 'delete', keys: ['a', 'b'] }))).toEqual(['deleteMany']);
    expect(await callsOf(() => tell({ type: 'tags', tags: ['x', 'y'] }))).toEqual(['set', 'setMany']);
    expect(await callsOf(() => tell({ type: 'clear' }))).toEqual(['set']);
  });

  it('is needed for nothing where there is nothing to write', async () => {
    const { read, write, entryOf, tell, callsOf } = setUp();
    const { fence } = await read(['a']);
    await tell({ type: 'clear' });
    expect(await callsOf(() => write('a', entryOf('a'), fence))).toEqual(['getMany']);
    expect(await callsOf(() => tell({ type: 'tags', tags: [] }))).toEqual([]);
    expect(await callsOf(() => tell({ type: 'delete', keys: [] }))).toEqual([]);
  });
});

describe('what a Keyv sees', () => {
  it('is one text for each entry, and a lifetime in whole milliseconds from 1 up, at most ten years', async () => {
    const { keyv, write, entryOf } = setUp();
    for (const keptMs of [0.2, 1_000.5, -7, Number.MAX_SAFE_INTEGER / 2])
      await write(`${keptMs}`, entryOf('', [], keptMs));
    expect(keysOf(keyv.texts, 'e').map((key) => keyv.ttls.get(key))).toEqual([1, 1_001, 1, 3_650 * dayMs]);
    expect(keyv.texts.get(keysOf(keyv.texts, 'e')[0] ?? '')).toMatch(/^wp2:[A-Za-z0-9+/=]+$/);
  });

  it('is a key that any adapter can keep, whatever namespace, key and tags are like', () =>
    fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.tuple(anyText, anyText, anyText), { selector: String, maxLength: 5 }),
        async (places) => {
          const keyv = bulkKeyv();
          const { store, entryOf } = setUp(keyv);
          for (const [namespace, key, tag] of places) {
            const entries = [{ key, entry: entryOf(tag, [tag]), fence: undefined }];
            await store.setMany({ namespace, entries, signal });
          }
          for (const key of keyv.texts.keys()) expect(key).toMatch(/^wp-[etan][!-~]{1,196}$/);
          const named = new Set(places.map(([namespace, key]) => JSON.stringify([namespace, key])));
          expect(keysOf(keyv.texts, 'e')).toHaveLength(named.size);
        },
      ),
    ));

  it('keeps keys apart that UTF-8 cannot', async () => {
    const { read, write, entryOf } = setUp();
    for (const key of ['\ud800', '\ud801', '\ufffd']) await write(key, entryOf(JSON.stringify(key)));
    const { entries } = await read(['\ud800', '\ud801', '\ufffd']);
    expect(entries.map((entry) => String((entry as StoredEntry).bytes))).toEqual([
      '"\\ud800"',
      '"\\ud801"',
      '"\ufffd"',
    ]);
  });

  it('is markers that outlive the entries they rule: 30 days, those of a namespace a year, or twice the longest entry', async () => {
    const { keyv, write, entryOf } = setUp();
    const ttlsOf = (kind: string) => keysOf(keyv.texts, kind).map((key) => (keyv.ttls.get(key) ?? 0) / dayMs);
    await write('a', entryOf('a', ['x'], 5_000));
    expect([ttlsOf('t'), ttlsOf('n')]).toEqual([[30], [365]]);
    await write('b', entryOf('b', ['x'], 200 * dayMs));
    await write('c', entryOf('c', ['y'], 5_000));
    await keyvStore(keyv).getMany({ namespace: 'other', keys: [], tags: [], signal });
    expect(ttlsOf('t')).toEqual([30, 400]);
  });
});

describe('what is not ours', () => {
  const foreign: readonly (readonly [string, unknown])[] = [
    ['an object of somebody else’s', { value: 1 }],
    ['a number', 5],
    ['a text of somebody else’s', 'hello'],
    ['an empty text', ''],
    ['JSON', '{"value":1,"storedAt":1,"expiresAt":2,"computeMs":3}'],
    ['another version of ours', 'wp1:AAAA'],
    ['our version with nothing behind it', 'wp2:'],
    ['our version with noise behind it', 'wp2:AAAAAAAA'],
    ['a marker', 'wp2:123'],
    [
      'an entry that was not written by a Keyv store',
      `wp2:${Buffer.from(packEntry(setUp().entryOf('v', ['x']))).toString('base64')}`,
    ],
  ];

  it.each(foreign)('counts as unreadable: %s', async (_, text) => {
    const { keyv, read, write, entryOf } = setUp();
    await write('key', entryOf('value'));
    keyv.texts.set(keysOf(keyv.texts, 'e')[0] ?? '', text);
    expect((await read(['key', 'none'])).entries).toEqual(['unreadable', undefined]);
  });

  it.each(foreign)('counts as no marker: %s', async (what, text) => {
    for (const kind of ['t', 'n']) {
      const { keyv, read, write, entryOf } = setUp();
      await write('key', entryOf('value', ['x']));
      keyv.texts.set(keysOf(keyv.texts, kind)[0] ?? '', text);
      expect((await read(['key'], ['x'])).entries).toEqual([undefined]);
      if (what === 'a marker') continue;
      expect(keyv.texts.get(keysOf(keyv.texts, kind)[0] ?? '')).toMatch(/^wp2:\d+$/);
    }
  });

  async function written() {
    const it = setUp();
    await it.write('key', it.entryOf('the value', ['x', 'größe']));
    const place = keysOf(it.keyv.texts, 'e')[0] ?? '';
    return { ...it, place, whole: String(it.keyv.texts.get(place)) };
  }

  it('is an entry of which one bit has changed, rather than another value', async () => {
    const { keyv, read, place, whole } = await written();
    const bytes = Buffer.from(whole.slice(4), 'base64');
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = Buffer.from(bytes);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      keyv.texts.set(place, `wp2:${damaged.toString('base64')}`);
      expect((await read(['key'])).entries).toEqual(['unreadable']);
    }
  });

  it('is every text that was cut short', async () => {
    const { keyv, read, place, whole } = await written();
    const content = whole.replace(/=+$/, '').length;
    for (let length = 0; length < content; length++) {
      keyv.texts.set(place, whole.slice(0, length));
      expect((await read(['key'])).entries).toEqual(['unreadable']);
    }
  });

  it('is any noise behind the version', () =>
    fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 120 }), fc.boolean(), async (noise, isSealed) => {
        const { keyv, read, place, entryOf } = await written();
        const bytes = isSealed ? packEntry({ ...entryOf('', ['x']), bytes: noise }) : noise;
        keyv.texts.set(place, `wp2:${Buffer.from(bytes).toString('base64')}`);
        expect((await read(['key'])).entries).toEqual(['unreadable']);
      }),
    ));

  it('is the entry of another key, which an adapter that folds case would hand out', async () => {
    const texts = new Map<string, unknown>();
    const bare = bulkKeyv(texts);
    const folding = {
      ...bare,
      getMany: (keys: string[]) => bare.getMany(keys.map((key) => key.toLowerCase())),
      set: (key: string, value: string, ttlMs?: number) => bare.set(key.toLowerCase(), value, ttlMs),
    };
    const { read, write, entryOf } = setUp(folding);
    await write('key', entryOf('value'));
    expect((await read(['KEY'])).entries).toEqual(['unreadable']);
  });

  it('is what the Keyv’s own serialisation cannot read, and harms nothing beside it', async () => {
    for (const keyv of [bulkKeyv(), { ...bulkKeyv(), getMany: undefined }]) {
      const broken: KeyvLike & { texts: Map<string, unknown>; calls: string[] } = {
        ...keyv,
        get: async (key) =>
          JSON.parse(JSON.stringify((await keyv.get(key)) ?? null).replace('"broken"', '{')) ?? undefined,
        ...(keyv.getMany && { getMany: (keys) => Promise.all(keys.map((key) => broken.get(key))) }),
      };
      const store = keyvStore(broken);
      const { entryOf } = setUp();
      const entries = ['a', 'b'].map((key) => ({ key, entry: entryOf(key), fence: undefined }));
      await store.setMany({ namespace: 'n', entries, signal });
      broken.texts.set(keysOf(broken.texts, 'e')[0] ?? '', 'broken');
      const answer = await store.getMany({ namespace: 'n', keys: ['a', 'b', 'c'], tags: [], signal });
      expect(answer.entries).toMatchObject(['unreadable', { tags: [] }, undefined]);
    }
  });
});

describe('a marker that is lost', () => {
  it.each([
    ['of a tag', 't', ['x']],
    ['of a tag that is found', 't', []],
    ['of the namespace', 'n', ['x']],
    ['of the namespace, of a value without tags that are known', 'n', []],
  ])('%s costs its entries, for good', async (_, kind, tags) => {
    const { keyv, read, write, entryOf } = setUp();
    await write('key', entryOf('old', ['x']));
    const { fence } = await read(['key'], tags);
    expect((await read(['key'], tags)).entries).toMatchObject([{ tags: ['x'] }]);
    for (const key of keysOf(keyv.texts, kind)) keyv.texts.delete(key);
    expect((await read(['key'], tags)).entries).toEqual([undefined]);
    for (const key of keysOf(keyv.texts, kind)) keyv.texts.delete(key);
    expect(await write('key', entryOf('computed under it', ['x']), fence)).toEqual([false]);
    for (let time = 0; time < 3; time++) expect((await read(['key'], tags)).entries).toEqual([undefined]);
    expect(await write('key', entryOf('new', ['x']), (await read(['key'])).fence)).toEqual([true]);
    expect((await read(['key'])).entries).toMatchObject([{ bytes: Buffer.from('new') }]);
  });

  it('of all tags keeps values from the store whose tags were found out late', async () => {
    const { keyv, read, write, entryOf } = setUp();
    await write('other', entryOf('other', ['late']));
    const { fence } = await read(['key']);
    for (const key of keysOf(keyv.texts, 'a')) keyv.texts.delete(key);
    expect(await write('key', entryOf('value', ['late']), fence)).toEqual([false]);
    expect(await write('key', entryOf('value'), fence)).toEqual([true]);
  });
});

describe('reads that come at once', () => {
  it('share the markers that they create, so that all of them may write', async () => {
    const { keyv, read, write, entryOf } = setUp();
    const keys = Array.from({ length: 20 }, (_, index) => `key${index}`);
    const answers = await Promise.all(keys.map((key, index) => read([key], ['shared', `own${index}`])));
    const stored = await Promise.all(
      keys.map((key, index) => write(key, entryOf(key, ['shared', `own${index}`]), answers[index]?.fence)),
    );
    expect(stored.flat()).toEqual(keys.map(() => true));
    expect(keysOf(keyv.texts, 't')).toHaveLength(21);
  });

  it('do not wait for one that hangs, once nobody waits for it', async () => {
    const { keyv, store, read, write, entryOf } = setUp();
    const { set, setMany } = keyv;
    keyv.set = keyv.setMany = () => new Promise(() => {});
    const leaving = new AbortController();
    const left = store.getMany({ namespace: 'n', keys: ['key'], tags: [], signal: leaving.signal });
    left.catch(() => {});
    await new Promise((resolve) => setImmediate(resolve));
    Object.assign(keyv, { set, setMany });
    leaving.abort();
    const { fence } = await read(['key']);
    expect(await write('key', entryOf('value'), fence)).toEqual([true]);
  });
});

describe('a signal', () => {
  it('that is aborted before the write keeps it from being made', async () => {
    const { keyv, store, read, entryOf } = setUp();
    await read([]);
    const leaving = new AbortController();
    const { getMany } = keyv;
    keyv.getMany = (keys) => {
      leaving.abort(new Error('too late'));
      return getMany(keys);
    };
    const entries = [{ key: 'key', entry: entryOf('value'), fence: undefined }];
    await expect(store.setMany({ namespace: 'n', entries, signal: leaving.signal })).rejects.toThrow('too late');
    expect(keysOf(keyv.texts, 'e')).toEqual([]);
  });

  it('does not keep an invalidation from being made', async () => {
    const { store, read, write, entryOf } = setUp();
    await write('key', entryOf('value', ['x']));
    const invalidation: Invalidation = { type: 'tags', tags: ['x'] };
    await store.invalidate({ namespace: 'n', invalidation, signal: AbortSignal.abort() });
    expect((await read(['key'])).entries).toEqual([undefined]);
  });
});

describe('a value whose tags were found out late', () => {
  it('is not kept if any tag of its namespace was invalidated meanwhile', async () => {
    const { read, write, entryOf, tell } = setUp();
    const { fence } = await read(['key'], ['known']);
    await tell({ type: 'tags', tags: ['unrelated'] });
    expect(await write('key', entryOf('value', ['known']), fence)).toEqual([true]);
    expect(await write('key', entryOf('value', ['known', 'late']), fence)).toEqual([false]);
  });
});

describe('a fence of another store', () => {
  it('is none to go by, so nothing is kept', async () => {
    const { read, write, entryOf } = setUp();
    expect(await write('key', entryOf('value'), 7)).toEqual([false]);
    const { fence } = await setUp().read(['key']);
    await read(['key']);
    expect(await write('key', entryOf('value'), fence)).toEqual([false]);
  });
});

describe('a Keyv that fails', () => {
  const down = new Error('the connection is gone');
  const swallowed = { answer: undefined, error: down };

  it.each<[string, string, { answer: unknown; error?: unknown }]>([
    ['getMany', 'getMany', { answer: [undefined, undefined, undefined], error: down }],
    ['getMany', 'set', swallowed],
    ['getMany', 'set', { answer: false }],
    ['setMany', 'getMany', { answer: [undefined], error: down }],
    ['setMany', 'set', swallowed],
    ['setMany', 'set', { answer: false }],
    ['setMany of two', 'setMany', { answer: [true, false] }],
    ['delete', 'delete', { answer: false, error: down }],
    ['delete', 'delete', { answer: false }],
    ['expire', 'set', swallowed],
    ['expire', 'set', { answer: false }],
    ['tags', 'set', swallowed],
    ['tags', 'set', { answer: false }],
    ['clear', 'set', swallowed],
    ['clear', 'set', { answer: false }],
  ])(
    'and swallows it rejects %s, with the store and the operation that failed: %s answers %j',
    async (what, operation, failure) => {
      const { keyv, store, read, write, entryOf, tell } = setUp();
      const both = ['key', 'other'].map((key) => ({ key, entry: entryOf(key, ['x']), fence: undefined }));
      if (what !== 'getMany') await write('key', entryOf('value', ['x']));
      keyv.failing.set(operation, failure);
      const call: Record<string, () => Promise<unknown>> = {
        getMany: () => read(['key']),
        setMany: () => write('key', entryOf('other')),
        'setMany of two': () => store.setMany({ namespace: 'n', entries: both, signal }),
        delete: () => tell({ type: 'delete', keys: ['key'] }),
        expire: () => tell({ type: 'expire', keys: ['key'] }),
        tags: () => tell({ type: 'tags', tags: ['x'] }),
        clear: () => tell({ type: 'clear' }),
      };
      const name = operation === 'set' || operation === 'delete' ? `${operation}Many` : operation;
      await expect(call[what]?.()).rejects.toThrow(`Store 'keyv' failed (${name}): `);
    },
  );

  it('and says so rejects with what it says', async () => {
    const { keyv, read } = setUp();
    keyv.getMany = () => Promise.reject(down);
    await expect(read(['key'])).rejects.toBe(down);
  });

  it('has deleted what was not there', async () => {
    const { tell } = setUp();
    await tell({ type: 'delete', keys: ['none'] });
    await tell({ type: 'delete', keys: ['none', 'neither'] });
  });

  it('is read while it is full and says so of writes beside the read, and a tag without a marker counts as late', async () => {
    const { keyv, read, write, entryOf } = setUp();
    await write('key', entryOf('value', ['x']));
    await read([]);
    for (const operation of ['set', 'setMany'])
      keyv.failing.set(operation, { answer: false, error: new Error('full') });
    const [answer] = await Promise.all([read(['key'], ['x', 'new']), write('other', entryOf('other')).catch(() => {})]);
    expect(answer.entries).toMatchObject([{ tags: ['x'] }]);
    keyv.failing.clear();
    expect(await write('key', entryOf('newer', ['x', 'new']), answer.fence)).toEqual([true]);
  });
});

it('keyvStore is refused what is no Keyv, and options that are none', () => {
  const refused = expect.objectContaining({ code: 'WP_BAD_OPTION' });
  expect(() => keyvStore({} as never)).toThrow(refused);
  expect(() => keyvStore(bareKeyv(), { name: '' })).toThrow(refused);
  expect(() => keyvStore(bareKeyv(), { clok: createFakeClock() } as never)).toThrow(refused);
  expect(keyvStore(bareKeyv(), { name: 'shared' }).name).toBe('shared');
});

/**
 * Two processes over one Keyv whose calls, also those of one process, take effect in any order, and which loses markers: no
 * read that begins after an invalidation by tag or a clear was confirmed finds a value whose computation began before it.
 */
describe('no read after a confirmed invalidation', () => {
  const tags = ['x', 'y'];
  const someTags = fc.subarray(tags);
  const step = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constant('compute' as const), by: fc.nat(1), known: someTags, tags: someTags }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('tags' as const), by: fc.nat(1), tags: someTags }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('clear' as const), by: fc.nat(1) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('read' as const), by: fc.nat(1), known: someTags }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('lose' as const), which: fc.nat(9) }) },
  );

  it('finds an older value', async () => {
    let found = 0;
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.array(step, { minLength: 3, maxLength: 12 }), async (scheduler, steps) => {
        const texts = new Map<string, unknown>();
        const bare = bareKeyv(texts);
        const unordered: KeyvLike = {
          get: scheduler.scheduleFunction(bare.get),
          set: scheduler.scheduleFunction(bare.set.bind(bare)),
          delete: scheduler.scheduleFunction(bare.delete),
        };
        const stores = [keyvStore(unordered), keyvStore(unordered)] as const;
        const storeOf = ({ by }: { by: number }) => stores[by === 0 ? 0 : 1];
        let instant = 0;
        /** For each tag, and '' for all: values whose computation began before it are void. */
        const floors = new Map<string, number>();
        const invalidate = async (by: { by: number }, invalidation: Invalidation, names: readonly string[]) => {
          const begun = ++instant;
          await storeOf(by).invalidate({ namespace: 'n', invalidation, signal });
          for (const name of names) floors.set(name, Math.max(floors.get(name) ?? 0, begun));
        };
        const run = async (each: (typeof steps)[number]): Promise<void> => {
          if (each.do === 'lose') {
            const markers = [...texts.keys()].filter((key) => !key.startsWith('wp-e'));
            texts.delete(markers[each.which % markers.length] ?? '');
          } else if (each.do === 'tags') {
            await invalidate(each, { type: 'tags', tags: each.tags }, each.tags);
          } else if (each.do === 'clear') {
            await invalidate(each, { type: 'clear' }, ['']);
          } else if (each.do === 'compute') {
            const store = storeOf(each);
            const { fence } = await store.getMany({ namespace: 'n', keys: ['key'], tags: each.known, signal });
            const began = ++instant;
            await scheduler.schedule(Promise.resolve(), 'computing');
            const entry = { bytes: Buffer.from(String(began)), storedAt: 1, freshUntil: 2, keptUntil: 3, computeMs: 4 };
            const entries = [{ key: 'key', entry: { ...entry, tags: each.tags }, fence }];
            await store.setMany({ namespace: 'n', entries, signal });
          } else {
            const least = new Map(floors);
            const answer = await storeOf(each).getMany({ namespace: 'n', keys: ['key'], tags: each.known, signal });
            const [entry] = answer.entries;
            if (typeof entry !== 'object') return;
            found++;
            for (const name of ['', ...entry.tags]) {
              expect(Number(String(entry.bytes))).toBeGreaterThan(least.get(name) ?? 0);
            }
          }
        };
        const work = steps.map((each) => scheduler.schedule(Promise.resolve(), each.do).then(() => run(each)));
        await scheduler.waitFor(Promise.all(work));
        await scheduler.waitFor(run({ do: 'read', by: 0, known: [] }));
      }),
      { numRuns: 400 },
    );
    expect(found).toBeGreaterThan(100);
  }, 30_000);
});
