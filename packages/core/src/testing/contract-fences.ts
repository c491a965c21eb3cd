import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import type { DeclarePromise, StoreProbe } from './store-probe.js';

/** One way for a value to go out of date while it is computed. */
export interface Doom {
  readonly what: string;
  /** Tags that are known before the value is computed; it turns out to have the tags `tag` and `other`. */
  readonly known: readonly string[];
  readonly invalidate: (store: StoreProbe) => Promise<void>;
}

export const computedTags: readonly string[] = ['other', 'tag'];

export function doomsOf(fencesKeys: boolean): readonly Doom[] {
  const dooms: Doom[] = [
    { what: 'a tag that was known before', known: computedTags, invalidate: (store) => store.invalidateTags('tag') },
    { what: 'a tag that computing it has named', known: [], invalidate: (store) => store.invalidateTags('tag') },
    { what: 'a clear', known: ['tag'], invalidate: (store) => store.clear() },
  ];
  if (!fencesKeys) return dooms;
  return [
    ...dooms,
    { what: 'a deletion of its key', known: [], invalidate: (store) => store.delete('key') },
    { what: 'an expiry of its key', known: [], invalidate: (store) => store.expire('key') },
  ];
}

/** A value whose computation began before an invalidation is never served after it. */
export function fencePromises(promise: DeclarePromise, fencesKeys: boolean): void {
  for (const doom of doomsOf(fencesKeys)) refusesWhatIsDoomed(promise, doom);
  takesWhatIsRight(promise, fencesKeys);
  promise('refuses of several entries only those that were invalidated since their fence', async (store) => {
    const fence = await store.fence(['a', 'b', 'c'], ['tag', 'other']);
    await store.invalidateTags('tag');
    const stored = await store.write([
      { key: 'a', entry: store.entryOf('a', { tags: ['other'] }), fence },
      { key: 'b', entry: store.entryOf('b', { tags: ['tag'] }), fence },
      { key: 'c', entry: store.entryOf('c'), fence },
    ]);
    deepStrictEqual([stored[0], stored[2]], [true, true]);
    deepStrictEqual(await store.texts(['a', 'b', 'c']), ['a', undefined, 'c']);
  });
  promise('knows the tags of what it has found as well as those it was told of', async (store) => {
    await store.set('key', 'old', { tags: ['tag'] });
    const right = await store.fence(['key']);
    await store.invalidateTags('unrelated');
    strictEqual(await store.set('key', 'refreshed', { tags: ['tag'], fence: right }), true);
    const doomed = await store.fence(['key']);
    await store.invalidateTags('tag');
    await store.set('key', 'too late', { tags: ['tag'], fence: doomed });
    strictEqual(await store.get('key'), undefined);
  });
}

function refusesWhatIsDoomed(promise: DeclarePromise, { what, known, invalidate }: Doom): void {
  promise(`never serves what was computed before ${what} and set after it`, async (store) => {
    const fence = await store.fence(['key'], known);
    await invalidate(store);
    await store.set('key', 'doomed', { tags: computedTags, fence });
    await store.holdsNothingFresh('key', 'it was computed before');
    await store.set('key', 'doomed', { tags: computedTags, fence });
    await store.holdsNothingFresh('key', 'it was computed before and set twice');
  });
  promise(`never serves what was computed in place of an older entry before ${what}`, async (store) => {
    await store.set('key', 'older', { tags: computedTags });
    const fence = await store.fence(['key'], known);
    await invalidate(store);
    await store.set('key', 'doomed', { tags: computedTags, fence });
    await store.holdsNothingFresh('key', 'it was computed before');
  });
  promise(`keeps the newer entry when one that was computed before ${what} comes late`, async (store) => {
    const fence = await store.fence(['key'], known);
    await invalidate(store);
    await store.set('key', 'newer', { tags: computedTags, fence: await store.fence(['key'], computedTags) });
    await store.set('key', 'doomed', { tags: computedTags, fence });
    strictEqual(await store.text('key'), 'newer');
  });
  promise(`serves nothing that is set while ${what} is under way`, async (store) => {
    for (let time = 0; time < 10; time++) {
      const fence = await store.fence(['key'], known);
      const setting = store.set('key', 'doomed', { tags: computedTags, fence });
      await Promise.all(time % 2 ? [setting, invalidate(store)] : [invalidate(store), setting]);
      await store.holdsNothingFresh('key', 'it was computed before');
    }
  });
  promise(`serves what was computed after ${what}`, async (store) => {
    await store.set('key', 'old', { tags: computedTags });
    await invalidate(store);
    const fence = await store.fence(['key'], known);
    strictEqual(await store.set('key', 'new', { tags: computedTags, fence }), true);
    strictEqual(await store.text('key'), 'new');
  });
}

function takesWhatIsRight(promise: DeclarePromise, fencesKeys: boolean): void {
  promise('takes an entry when nothing was invalidated since its fence', async (store) => {
    for (const known of [[], ['tag'], computedTags]) {
      const fence = await store.fence(['key'], known);
      const text = `known: ${known.length}`;
      strictEqual(await store.set('key', text, { tags: computedTags, fence }), true);
      strictEqual(await store.text('key'), text);
    }
  });
  promise('takes an entry though others were invalidated since its fence', async (store) => {
    const fence = await store.fence(['key'], computedTags);
    await store.invalidateTags('unrelated', 'tag2', 'TAG');
    await store.in('contract:other').invalidateTags('tag');
    await store.in('contract:other').clear();
    await store.in('contract:other').delete('key');
    await store.delete('unrelated', 'key2', 'KEY');
    await store.expire('unrelated', 'key2', 'KEY');
    strictEqual(await store.set('key', 'right', { tags: computedTags, fence }), true);
    strictEqual(await store.text('key'), 'right');
  });
  promise('takes several entries by the fence of one read, in one call or several', async (store) => {
    const fence = await store.fence(['a', 'b', 'c'], ['tag']);
    const entryOf = (key: string): { key: string; entry: ReturnType<StoreProbe['entryOf']>; fence: unknown } => ({
      key,
      entry: store.entryOf(key, { tags: ['tag'] }),
      fence,
    });
    deepStrictEqual(await store.write([entryOf('a'), entryOf('b')]), [true, true]);
    deepStrictEqual(await store.write([entryOf('c')]), [true]);
    deepStrictEqual(await store.texts(['a', 'b', 'c']), ['a', 'b', 'c']);
  });
  promise('takes an entry without a fence at any time, and forgets it like any other', async (store) => {
    await store.invalidateTags('tag');
    await store.clear();
    for (const { what, invalidate } of doomsOf(fencesKeys)) {
      strictEqual(await store.set('key', 'by hand', { tags: computedTags }), true);
      strictEqual(await store.text('key'), 'by hand');
      await invalidate(store);
      await store.holdsNothingFresh('key', `there was ${what}`);
    }
  });
}
