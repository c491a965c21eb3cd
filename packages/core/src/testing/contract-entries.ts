import { deepStrictEqual, notStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { type Damage, type DeclarePromise, sameEntry, textOf } from './store-probe.js';

const dayMs = 86_400_000;

/** What is set is what is found: whole, under its own key, in its own namespace. */
export function entryPromises(promise: DeclarePromise, damage: Damage | undefined): void {
  promise('has a name', async ({ store }) => {
    strictEqual(typeof store.name, 'string');
    notStrictEqual(store.name, '');
  });
  promise('answers undefined for a key that was never set', async (store) => {
    strictEqual(await store.get('never'), undefined);
    strictEqual(await store.get('never', ['tag']), undefined);
  });
  promise('gives back the entry that was set, with its times and tags', async (store) => {
    const entry = store.entryOf('hello', { tags: ['b', 'a', 'größe 🙂', 't'.repeat(1_000)] });
    deepStrictEqual(await store.write([{ key: 'entry', entry }]), [true]);
    sameEntry(await store.get('entry'), entry);
    sameEntry(await store.get('entry', ['a', 'unknown']), entry);
  });
  promise('keeps the fractions of times, and a time of 0', async (store) => {
    const times = { storedAt: 1_760_000_000_000.25, freshUntil: 0, keptUntil: 9_000_000_000_000.5, computeMs: 0.125 };
    const entry = { ...store.entryOf('times'), ...times };
    await store.write([{ key: 'times', entry }]);
    sameEntry(await store.get('times'), entry);
  });
  keepsBytes(promise);
  promise('keeps the last of two entries of one key, set one after the other or in one call', async (store) => {
    await store.set('twice', 'first');
    await store.set('twice', 'second');
    strictEqual(await store.text('twice'), 'second');
    const entries = ['third', 'fourth'].map((text) => ({ key: 'twice', entry: store.entryOf(text) }));
    await store.write(entries);
    strictEqual(await store.text('twice'), 'fourth');
  });
  readsMany(promise);
  keepsApart(promise);
  promise('takes lifetimes of fractions of a millisecond and of 60 days', async (store) => {
    await store.write([
      { key: 'short', entry: store.entryOf('short', { keptMs: 0.25 }) },
      { key: 'long', entry: store.entryOf('long', { keptMs: 60 * dayMs }) },
    ]);
    strictEqual(await store.text('long'), 'long');
  });
  promise('takes an entry whose time is already over, and is none the worse for it', async (store) => {
    await store.set('over', 'over', { keptMs: -5 });
    await store.set('stays', 'stays');
    strictEqual(await store.text('stays'), 'stays');
  });
  promise('settles calls whose signal was aborted before they were made', async (probe) => {
    const { store, namespace } = probe;
    const signal = AbortSignal.abort();
    const entries = [{ key: 'aborted', entry: probe.entryOf('aborted'), fence: undefined }];
    await Promise.allSettled([
      store.getMany({ namespace, keys: ['aborted'], tags: [], signal }),
      store.setMany({ namespace, entries, signal }),
      store.invalidate({ namespace, invalidation: { type: 'clear' }, signal }),
    ]);
  });
  if (damage) findsDamage(promise, damage);
}

function keepsBytes(promise: DeclarePromise): void {
  const kinds: readonly (readonly [kind: string, bytes: Uint8Array])[] = [
    ['no bytes at all', new Uint8Array()],
    ['bytes of every kind', Uint8Array.from({ length: 256 }, (_, byte) => byte)],
    ['bytes that are no text', Uint8Array.of(0xff, 0xfe, 0, 0xc3, 0x28)],
    ['text that looks like JSON', Buffer.from('{"value":1}')],
    ['a megabyte', Uint8Array.from({ length: 1_000_003 }, (_, index) => index % 251)],
  ];
  for (const [kind, bytes] of kinds) {
    promise(`keeps ${kind} whole`, async (store) => {
      const entry = { ...store.entryOf(''), bytes };
      await store.write([{ key: 'bytes', entry }]);
      sameEntry(await store.get('bytes'), entry);
    });
  }
  promise('keeps the bytes as they were, whatever becomes of the caller’s own', async (store) => {
    const bytes = Buffer.from('-before-').subarray(1, 7);
    await store.write([{ key: 'copied', entry: { ...store.entryOf(''), bytes } }]);
    bytes.fill('x');
    strictEqual(await store.text('copied'), 'before');
  });
}

function readsMany(promise: DeclarePromise): void {
  promise('answers in the order of the keys, with undefined for those that are missing', async (store) => {
    for (const key of ['b', 'd', 'a']) await store.set(key, key);
    deepStrictEqual(await store.texts(['a', 'none', 'b', 'neither', 'd']), ['a', undefined, 'b', undefined, 'd']);
    deepStrictEqual(await store.texts(['d', 'a', 'b']), ['d', 'a', 'b']);
  });
  promise('answers a key that is asked for twice twice', async (store) => {
    await store.set('a', 'a');
    deepStrictEqual(await store.texts(['a', 'none', 'a', 'none']), ['a', undefined, 'a', undefined]);
  });
  promise('takes empty lists of keys and of entries', async (store) => {
    deepStrictEqual((await store.read([])).entries, []);
    deepStrictEqual((await store.read([], ['tag'])).entries, []);
    deepStrictEqual(await store.write([]), []);
  });
  promise('takes many entries in one call, and gives them back in one', async (store) => {
    const keys = Array.from({ length: 300 }, (_, index) => `many:${index}`);
    const stored = await store.write(
      keys.map((key) => ({ key, entry: store.entryOf(key, { tags: [`tag:${key.at(-1)}`] }) })),
    );
    deepStrictEqual(
      stored,
      keys.map(() => true),
    );
    deepStrictEqual(await store.texts(keys), keys);
  });
  promise('takes many calls at once', async (store) => {
    const keys = Array.from({ length: 50 }, (_, index) => `at-once:${index}`);
    await Promise.all(keys.map((key) => store.set(key, key)));
    deepStrictEqual(await Promise.all(keys.map((key) => store.text(key))), keys);
  });
}

function keepsApart(promise: DeclarePromise): void {
  promise('keeps keys apart that differ in one character, in case, in length or at their ends', async (store) => {
    const long = 'k'.repeat(1_000);
    const keys = ['a', 'A', 'a ', ' a', 'ä', 'a\u0308', 'a\0', 'a/b', 'a:b', 'a%3Ab', long, `${long}k`, `${long}K`];
    for (const key of keys) await store.set(key, `of ${key}`);
    deepStrictEqual(
      await store.texts(keys),
      keys.map((key) => `of ${key}`),
    );
  });
  promise('keeps namespaces apart, also where name and key run into each other', async (store) => {
    const separated = ['', ':', '/', '.', '-', '|', '\0'].flatMap((separator) => [
      ['contract:a', `b${separator}c`] as const,
      [`contract:a${separator}b`, `c`] as const,
      [`contract:a${separator}b${separator}c`, ''] as const,
    ]);
    const places = [['contract', 'key'], ['contract:', 'key'], ['contract:A', 'bc'], ...separated] as const;
    for (const [namespace, key] of places) await store.in(namespace).set(key, `${namespace} ${key}`);
    for (const [namespace, key] of places) {
      strictEqual(await store.in(namespace).text(key), `${namespace} ${key}`);
      strictEqual(await store.in(`${namespace}:other`).text(key), undefined);
    }
  });
}

function findsDamage(promise: DeclarePromise, damage: Damage): void {
  promise('calls what is damaged unreadable, and nothing else', async (store) => {
    for (const key of ['a', 'b', 'c']) await store.set(key, key, { tags: ['tag'] });
    await damage({ store: store.store, namespace: store.namespace, key: 'b' });
    const { entries } = await store.read(['a', 'b', 'c', 'd']);
    const said = entries.map((entry) => (entry === undefined || entry === 'unreadable' ? entry : textOf(entry)));
    deepStrictEqual(said, ['a', 'unreadable', 'c', undefined]);
  });
  promise('replaces, deletes and expires what is damaged as if it were whole', async (store) => {
    const spoil = async (): Promise<void> => {
      ok(await store.set('key', 'whole', { fence: await store.fence(['key']) }));
      await damage({ store: store.store, namespace: store.namespace, key: 'key' });
    };
    await spoil();
    await store.set('key', 'again');
    strictEqual(await store.text('key'), 'again');
    await spoil();
    await store.expire('key');
    await store.delete('key');
    strictEqual(await store.get('key'), undefined);
    await spoil();
    await store.clear();
    strictEqual(await store.set('key', 'cleared', { fence: await store.fence(['key']) }), true);
    strictEqual(await store.text('key'), 'cleared');
  });
}
