import type { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { sqliteFiles } from '../../../../test/sqlite-files.js';
import { createFakeClock, type FakeClock } from '../../../testing/index.js';
import { StoreProbe } from '../../../testing/store-probe.js';
import type { SqliteStore } from './sqlite-store.js';

const { newFile, open, connect } = sqliteFiles();

interface Setup {
  readonly clock: FakeClock;
  readonly store: SqliteStore;
  readonly probe: StoreProbe;
  /** Another process, as far as SQLite can tell. */
  readonly other: DatabaseSync;
}

function setup(): Setup {
  const file = newFile();
  const clock = createFakeClock();
  const store = open({ file, clock });
  return { clock, store, probe: new StoreProbe(store, clock), other: connect(file) };
}

/** Another one whenever somebody else has committed. */
const versionOf = (db: DatabaseSync): number => Number(Object.values(db.prepare('pragma data_version').get() ?? {})[0]);

describe('the writes of a SQLite store', () => {
  it('that are asked for in one turn are one transaction, in their order', async () => {
    const { probe, other } = setup();
    await probe.set('first', 'value');
    const versions = new Set([versionOf(other)]);
    const isEachDone = await Promise.all(
      [
        probe.set('a', '1'),
        probe.set('b', '1'),
        probe.delete('a'),
        probe.set('b', '2'),
        probe.in('other').set('a', 'kept'),
        probe.clear(),
        probe.set('c', '1'),
      ].map((write) => write.then(() => versions.add(versionOf(other)).size)),
    );
    expect(new Set(isEachDone)).toEqual(new Set([2]));
    expect(await probe.texts(['a', 'b', 'c'])).toEqual([undefined, undefined, '1']);
    expect(await probe.in('other').text('a')).toBe('kept');
  });

  it('of one call are split when they are many, or large', async () => {
    const { probe } = setup();
    const entries = (count: number, bytes: number) =>
      Array.from({ length: count }, (_, at) => ({ key: `${at}`, entry: probe.entryOf('x'.repeat(bytes)) }));
    const writes = [
      () => probe.write(entries(600, 1)),
      () => probe.write(entries(12, 1_000_000)),
      () => probe.delete(...Array.from({ length: 600 }, (_, at) => `${at}`)),
    ];
    for (const write of writes) {
      let turns = 0;
      let isOver = false;
      const count = (): void => {
        turns++;
        if (!isOver) setImmediate(count);
      };
      setImmediate(count);
      await write();
      isOver = true;
      expect(turns).toBeGreaterThanOrEqual(3);
    }
  });

  it('wait for the clock while somebody else writes, and land when he is done', async () => {
    const { clock, probe, other } = setup();
    await probe.set('key', 'old');
    other.exec('begin immediate');
    let isDone = false;
    const writes = Promise.all([probe.set('key', 'new'), probe.invalidateTags('tag')]).then(() => {
      isDone = true;
    });
    await clock.advance(1_000);
    expect(isDone).toBe(false);
    expect(await probe.text('key')).toBe('old'); // reads are not in anybody's way
    const joined = probe.set('late', 'value');
    other.exec('commit');
    await clock.advance(16);
    await writes;
    expect(await joined).toBe(true);
    expect(await probe.texts(['key', 'late'])).toEqual(['new', 'value']);
    expect(clock.pending).toBe(1); // housekeeping
  });

  it('are given up when nobody waits for them any more, each by itself', async () => {
    const { clock, store, probe, other } = setup();
    other.exec('begin immediate');
    const aborts = [new AbortController(), new AbortController()] as const;
    const write = (key: string, signal: AbortSignal) =>
      store.setMany({ namespace: 'contract', entries: [{ key, entry: probe.entryOf(key), fence: undefined }], signal });
    const early = write('early', aborts[0].signal);
    const kept = write('kept', unaborted());
    await clock.advance(5);
    const late = write('late', aborts[1].signal);
    const reason = new Error('too slow');
    aborts[0].abort(reason);
    aborts[1].abort(reason);
    await expect(early).rejects.toBe(reason);
    await expect(late).rejects.toBe(reason);
    other.exec('rollback');
    await clock.advance(16);
    expect(await kept).toEqual([true]);
    expect(await probe.texts(['early', 'kept', 'late'])).toEqual([undefined, 'kept', undefined]);
  });

  it('leave no timer behind when all of them are given up', async () => {
    const { clock, store, other } = setup();
    other.exec('begin immediate');
    const { signal, abort } = abortable();
    const cleared = store.invalidate({ namespace: 'contract', invalidation: { type: 'clear' }, signal });
    await clock.advance(100);
    expect(clock.pending).toBe(2);
    abort();
    await expect(cleared).rejects.toThrow();
    expect(clock.pending).toBe(1);
  });

  it('do not fail for what another one is at fault for', async () => {
    const { store, probe } = setup();
    const results = await Promise.allSettled([
      probe.set('a', 'value'),
      store.invalidate({
        namespace: 'contract',
        // @ts-expect-error: a caller without types
        invalidation: { type: 'delete', keys: ['b', Symbol('b')] },
        signal: unaborted(),
      }),
      probe.set('c', 'value'),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(await probe.texts(['a', 'c'])).toEqual(['value', 'value']);
    expect(await Promise.all([probe.set('d', '1'), probe.set('e', '1')])).toEqual([true, true]);
  });

  it('that wait when the store is closed are refused', async () => {
    const { clock, store, probe, other } = setup();
    other.exec('begin immediate');
    const written = probe.set('key', 'value');
    await clock.advance(5);
    const closed = expect(written).rejects.toMatchObject({ code: 'WP_CLOSED' });
    await store.close();
    await closed;
    expect(clock.pending).toBe(0);
  });

  it('of housekeeping stay away while somebody else writes', async () => {
    const { clock, store, probe, other } = setup();
    await probe.set('short', 'value', { keptMs: 10 });
    other.exec('begin immediate');
    await clock.advance(3_000);
    expect(store.stats().total.entries).toBe(1);
    other.exec('rollback');
    await clock.advance(1_000);
    expect(store.stats().total.entries).toBe(0);
  });
});

const unaborted = (): AbortSignal => new AbortController().signal;

function abortable(): { readonly signal: AbortSignal; readonly abort: () => void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort() };
}
