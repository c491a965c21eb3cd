import { describe, expect, it } from 'vitest';
import { sqliteFiles } from '../../../../test/sqlite-files.js';
import { createFakeClock } from '../../../testing/index.js';
import { StoreProbe } from '../../../testing/store-probe.js';
import type { SqliteStoreOptions } from './sqlite-store.js';

const { newFile, open } = sqliteFiles();

/** Probes of stores on one file, as several processes have them. */
function probes(count: number, options: Partial<SqliteStoreOptions> = {}): StoreProbe[] {
  const file = newFile();
  const clock = createFakeClock();
  return Array.from({ length: count }, () => new StoreProbe(open({ file, ...options }), clock));
}

const names = (from: number): string[] => Array.from({ length: 100 }, (_, index) => `name ${from + index}`);

describe('a feed', () => {
  it('tells what others did, in order, together with its like, and only the last of each name', async () => {
    const [ours, theirs] = probes(2);
    if (!ours || !theirs) return expect.unreachable();
    const feed = ours.store.openFeed?.('contract');
    await theirs.delete('a', 'b');
    await theirs.delete('c');
    await theirs.invalidateTags('t');
    await theirs.delete('a');
    await ours.delete('own');
    await theirs.expire('d');
    expect(feed?.poll()).toEqual([
      { type: 'delete', keys: ['b', 'c'] },
      { type: 'tags', tags: ['t'] },
      { type: 'delete', keys: ['a'] },
      { type: 'expire', keys: ['d'] },
    ]);
    expect(feed?.poll()).toBe(undefined);
    await theirs.delete('a');
    await theirs.clear();
    await theirs.delete('b');
    await nextTurn();
    expect(feed?.poll()).toEqual([{ type: 'clear' }, { type: 'delete', keys: ['b'] }]);
  });

  it('tells of a deletion by another though an expiry or a deletion of our own came after it', async () => {
    const [ours, theirs] = probes(2);
    if (!ours || !theirs) return expect.unreachable();
    const feed = ours.store.openFeed?.('contract');
    await theirs.delete('a', 'b');
    await theirs.clear();
    await ours.expire('a');
    await ours.delete('b');
    await ours.clear();
    expect(feed?.poll()).toEqual([{ type: 'clear' }]);
    await theirs.delete('a', 'b');
    await ours.expire('a');
    await ours.delete('b');
    await nextTurn();
    expect(feed?.poll()).toEqual([{ type: 'delete', keys: ['a', 'b'] }]);
    await ours.delete('a');
    await nextTurn();
    expect(feed?.poll()).toBe(undefined);
  });

  it('tells of a clear of our own when it hides what others did, and only then', async () => {
    const [ours, theirs] = probes(2);
    if (!ours || !theirs) return expect.unreachable();
    const feed = ours.store.openFeed?.('contract');
    const hidden = [
      () => theirs.delete('a'),
      () => theirs.expire('a'),
      () => theirs.invalidateTags('t'),
      () => theirs.clear(),
    ];
    for (const hide of hidden) {
      await hide();
      await ours.clear();
      await nextTurn();
      expect(feed?.poll()).toEqual([{ type: 'clear' }]);
    }
    await theirs.in('other').delete('a');
    await ours.delete('a');
    await ours.invalidateTags('t');
    await ours.clear();
    await nextTurn();
    expect(feed?.poll()).toBe(undefined);
  });

  it('has a gap where there was too much to tell, or it was forgotten', async () => {
    const [ours, theirs] = probes(2, { maxBytes: '1MB' });
    if (!ours || !theirs) return expect.unreachable();
    const feed = ours.store.openFeed?.('contract');
    const other = ours.store.openFeed?.('other');
    for (let index = 0; index < 1_100; index += 100) await theirs.invalidateTags(...names(index));
    expect(feed?.poll()).toBe('gap');
    for (let index = 0; index < 3_000; index += 100) await theirs.delete(...names(index));
    await theirs.in('other').delete('a');
    expect(feed?.poll()).toBe('gap');
    expect(feed?.poll()).toBe(undefined);
    expect(other?.poll()).toEqual([{ type: 'delete', keys: ['a'] }]);
  });

  it('asks in every turn of the event loop, and once in each', async () => {
    const [ours, theirs] = probes(2);
    if (!ours || !theirs) return expect.unreachable();
    const feed = ours.store.openFeed?.('contract');
    for (let round = 0; round < 5; round++) {
      await theirs.delete('a');
      await nextTurn();
      expect(feed?.poll()).toEqual([{ type: 'delete', keys: ['a'] }]);
      expect(await Promise.resolve().then(() => feed?.poll())).toBe(undefined);
    }
  });

  it('asks no more often than coherence says', async () => {
    const file = newFile();
    const clock = createFakeClock();
    const ours = open({ file, clock, coherence: '100ms' });
    const theirs = new StoreProbe(open({ file, clock }), clock);
    const feed = ours.openFeed('contract');
    await clock.advance(100);
    expect(feed.poll()).toBe(undefined);
    await theirs.delete('a');
    await clock.advance(99);
    expect(feed.poll()).toBe(undefined);
    await clock.advance(1);
    expect(feed.poll()).toEqual([{ type: 'delete', keys: ['a'] }]);
  });

  it('hears of a namespace that did not exist when it was opened', async () => {
    const [ours, theirs] = probes(2);
    if (!ours || !theirs) return expect.unreachable();
    const feed = ours.store.openFeed?.('later');
    await theirs.in('later').delete('a');
    await nextTurn();
    expect(feed?.poll()).toEqual([{ type: 'delete', keys: ['a'] }]);
  });
});

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
