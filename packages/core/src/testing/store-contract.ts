import { deepStrictEqual, notStrictEqual, strictEqual } from 'node:assert/strict';
import type { CacheStore, StoredEntry } from '../cache/index.js';

/** One promise of the contract; `run` rejects with an AssertionError when the store breaks it. */
export interface StoreContractCase {
  readonly name: string;
  run(): Promise<void>;
}

/**
 * What every `CacheStore` must keep, as named cases for any test runner:
 * ```ts
 * for (const { name, run } of storeContract(() => keyvStore(new Keyv()))) it(name, run);
 * ```
 * @param make an empty store, or one that nobody else writes to; called once for each case
 */
export function storeContract(make: () => CacheStore | Promise<CacheStore>): readonly StoreContractCase[] {
  const cases: StoreContractCase[] = [];
  const promise = (name: string, run: (store: CacheStore) => Promise<void>): void => {
    cases.push({ name, run: async () => run(await make()) });
  };

  promise('has a name', async (store) => {
    strictEqual(typeof store.name, 'string');
    notStrictEqual(store.name, '');
  });

  promise('answers undefined for a key that was never set', async (store) => {
    strictEqual(await store.get('contract:never'), undefined);
  });

  promise('gives back the entry that was set, with its times', async (store) => {
    const entry = entryOf({ text: 'hello', list: [1, 2, 3] });
    await store.set('contract:entry', entry, minuteMs);
    deepStrictEqual(await store.get('contract:entry'), entry);
  });

  promise('keeps the last of two entries of one key', async (store) => {
    await store.set('contract:twice', entryOf('first'), minuteMs);
    await store.set('contract:twice', entryOf('second'), minuteMs);
    strictEqual((await store.get('contract:twice'))?.value, 'second');
  });

  promise('forgets a deleted key, and only that one', async (store) => {
    await store.set('contract:gone', entryOf(1), minuteMs);
    await store.set('contract:stays', entryOf(2), minuteMs);
    await store.delete('contract:gone');
    strictEqual(await store.get('contract:gone'), undefined);
    strictEqual((await store.get('contract:stays'))?.value, 2);
  });

  promise('lets a key be deleted that it does not have', async (store) => {
    await store.delete('contract:nothing');
    strictEqual(await store.get('contract:nothing'), undefined);
  });

  promise('takes a key again after its deletion', async (store) => {
    await store.set('contract:again', entryOf('old'), minuteMs);
    await store.delete('contract:again');
    await store.set('contract:again', entryOf('new'), minuteMs);
    strictEqual((await store.get('contract:again'))?.value, 'new');
  });

  for (const [kind, value] of kinds) {
    promise(`keeps ${kind} as it is`, async (store) => {
      await store.set('contract:kind', entryOf(value), minuteMs);
      deepStrictEqual(await store.get('contract:kind'), entryOf(value));
    });
  }

  promise('keeps keys apart that differ in one character, in case, or in length', async (store) => {
    const keys = ['contract:a', 'contract:A', 'contract:a ', 'contract:ä', `contract:${'k'.repeat(200)}`];
    for (const key of keys) await store.set(key, entryOf(key), minuteMs);
    for (const key of keys) strictEqual((await store.get(key))?.value, key);
  });

  promise('keeps a value of a megabyte whole', async (store) => {
    const large = 'é'.repeat(500_000);
    await store.set('contract:large', entryOf(large), minuteMs);
    strictEqual((await store.get('contract:large'))?.value, large);
  });

  promise('takes many calls at once', async (store) => {
    const keys = Array.from({ length: 50 }, (_, index) => `contract:many:${index}`);
    await Promise.all(keys.map((key) => store.set(key, entryOf(key), minuteMs)));
    const found = await Promise.all(keys.map(async (key) => (await store.get(key))?.value));
    deepStrictEqual(found, keys);
  });

  promise('takes lifetimes of fractions of a millisecond and of 60 days', async (store) => {
    await store.set('contract:short', entryOf(1), 0.25);
    await store.set('contract:long', entryOf(2), 60 * 24 * 60 * minuteMs);
    strictEqual((await store.get('contract:long'))?.value, 2);
  });

  return cases;
}

const minuteMs = 60_000;

/** Times with fractions, since a cache's clock has them. */
function entryOf(value: unknown): StoredEntry {
  return { value, storedAt: 1_760_000_000_000.25, expiresAt: 9_000_000_000_000.5, computeMs: 12.5 };
}

const kinds: readonly (readonly [kind: string, value: unknown])[] = [
  ['null', null],
  ['undefined', undefined],
  ['0', 0],
  ['-0', -0],
  ['NaN', Number.NaN],
  ['false', false],
  ['the empty string', ''],
  ['a bigint', 2n ** 80n],
  ['text beyond ASCII', 'naïve 🙂 \u0000 end'],
  ['a Date', new Date(1_760_000_000_123)],
  [
    'a Map with keys that are no strings',
    new Map<unknown, unknown>([
      [1, 'one'],
      [{ two: 2 }, new Set([3])],
    ]),
  ],
  ['a Float32Array', new Float32Array([0.1, -1, Number.POSITIVE_INFINITY])],
  ['a Uint8Array', new Uint8Array([0, 255, 128])],
  ['undefined inside of an object', { here: undefined, there: [undefined, null] }],
  ['a value inside of a value inside of a value', { a: { b: { c: [new Date(0), { d: 1n }] } } }],
];
