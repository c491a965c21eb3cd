import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { type DeclarePromise, sameEntry } from './store-probe.js';

/** What is invalidated is gone, and only that. */
export function invalidationPromises(promise: DeclarePromise): void {
  deletesAndExpires(promise);
  invalidatesTags(promise);
  clears(promise);
  promise('invalidates in one namespace only', async (store) => {
    const other = store.in('contract:other');
    const fill = async (): Promise<void> => {
      await store.set('key', 'here', { tags: ['tag'] });
      await other.set('key', 'there', { tags: ['tag'] });
    };
    for (const invalidate of [
      () => other.delete('key'),
      () => other.expire('key'),
      () => other.invalidateTags('tag'),
      () => other.clear(),
    ]) {
      await fill();
      const before = await store.get('key');
      await invalidate();
      ok(before, 'there is an entry');
      sameEntry(await store.get('key', ['tag']), before);
      await other.holdsNothingFresh('key', 'it was invalidated');
    }
  });
  promise('takes invalidations of nothing', async (store) => {
    await store.set('key', 'stays', { tags: ['tag'] });
    await store.delete();
    await store.expire();
    await store.invalidateTags();
    await store.delete('none', 'neither');
    await store.expire('none', 'neither');
    await store.invalidateTags('unknown');
    deepStrictEqual(await store.texts(['key', 'none']), ['stays', undefined]);
  });
}

function deletesAndExpires(promise: DeclarePromise): void {
  promise('forgets deleted keys, and only those', async (store) => {
    const keys = ['a', 'A', 'b', 'c', 'd'];
    for (const key of keys) await store.set(key, key);
    await store.delete('a', 'c', 'none', 'a');
    deepStrictEqual(await store.texts(keys), [undefined, 'A', 'b', undefined, 'd']);
    await store.delete('b');
    deepStrictEqual(await store.texts(keys), [undefined, 'A', undefined, undefined, 'd']);
  });
  promise('takes a key again after its deletion', async (store) => {
    await store.set('again', 'old');
    await store.delete('again');
    strictEqual(await store.set('again', 'new'), true);
    strictEqual(await store.text('again'), 'new');
  });
  promise('keeps an expired entry to stand in: the same but for its freshUntil, which is 0', async (store) => {
    const entry = store.entryOf('stale', { tags: ['tag'] });
    await store.write([
      { key: 'a', entry },
      { key: 'b', entry },
    ]);
    await store.expire('a', 'none', 'a');
    sameEntry(await store.get('a'), { ...entry, freshUntil: 0 });
    sameEntry(await store.get('b'), entry);
    strictEqual(await store.get('none'), undefined);
  });
  promise('forgets an expired entry by its key, its tag or a clear like any other', async (store) => {
    const ways = [() => store.delete('key'), () => store.invalidateTags('tag'), () => store.clear()];
    for (const way of ways) {
      await store.set('key', 'stale', { tags: ['tag'] });
      await store.expire('key');
      await way();
      strictEqual(await store.get('key'), undefined);
    }
  });
  promise('has an expired key fresh again once it is set again', async (store) => {
    await store.set('key', 'stale');
    await store.expire('key');
    const entry = store.entryOf('fresh');
    await store.write([{ key: 'key', entry, fence: await store.fence(['key']) }]);
    sameEntry(await store.get('key'), entry);
  });
}

function invalidatesTags(promise: DeclarePromise): void {
  promise('forgets an entry with any of its tags, asked with its tags or without', async (store) => {
    const tags = ['a', 'b', 'c'];
    for (const tag of tags) {
      await store.set('all', 'all', { tags });
      await store.set('one', 'one', { tags: [tag] });
      await store.set('other', 'other', { tags: tags.filter((each) => each !== tag) });
      await store.set('none', 'none');
      await store.invalidateTags(tag);
      const left = [undefined, undefined, 'other', 'none'];
      deepStrictEqual(await store.texts(['all', 'one', 'other', 'none']), left);
      deepStrictEqual(await store.texts(['all', 'one', 'other', 'none'], tags), left);
    }
  });
  promise('forgets by several tags at once', async (store) => {
    for (const tag of ['a', 'b', 'c']) await store.set(tag, tag, { tags: [tag] });
    await store.invalidateTags('a', 'c', 'a');
    deepStrictEqual(await store.texts(['a', 'b', 'c']), [undefined, 'b', undefined]);
  });
  promise('keeps tags apart that differ in one character, in case or in length', async (store) => {
    const tags = ['t', 'T', 't ', 'ẗ', 't:', 't'.repeat(500), `${'t'.repeat(500)}T`];
    for (const tag of tags) await store.set(tag, tag, { tags: [tag] });
    await store.invalidateTags('t', 't'.repeat(500));
    deepStrictEqual(
      await store.texts(tags),
      tags.map((tag) => (tag === 't' || tag === 't'.repeat(500) ? undefined : tag)),
    );
  });
  promise('keeps an entry that was set after its tag was invalidated', async (store) => {
    await store.invalidateTags('tag');
    await store.set('key', 'first', { tags: ['tag'] });
    strictEqual(await store.text('key'), 'first');
    await store.invalidateTags('tag');
    await store.set('key', 'second', { tags: ['tag'] });
    strictEqual(await store.text('key'), 'second');
  });
  promise('never has an entry again that a tag has forgotten, however often the tag is invalidated', async (store) => {
    await store.set('key', 'old', { tags: ['tag'] });
    for (let time = 0; time < 20; time++) {
      await store.invalidateTags('tag');
      strictEqual(await store.get('key', ['tag']), undefined);
    }
  });
}

function clears(promise: DeclarePromise): void {
  promise('forgets everything with a clear, and takes it again', async (store) => {
    const keys = ['a', 'b', 'c'];
    for (let time = 0; time < 3; time++) {
      for (const key of keys) strictEqual(await store.set(key, `${key}${time}`, { tags: ['tag'] }), true);
      deepStrictEqual(
        await store.texts(keys),
        keys.map((key) => `${key}${time}`),
      );
      await store.clear();
      deepStrictEqual(
        await store.texts(keys),
        keys.map(() => undefined),
      );
    }
  });
  promise('lets an empty namespace be cleared', async (store) => {
    await store.clear();
    await store.clear();
    await store.set('key', 'value');
    strictEqual(await store.text('key'), 'value');
  });
}
