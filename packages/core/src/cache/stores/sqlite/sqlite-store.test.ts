import { existsSync, symlinkSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { sqliteFiles } from '../../../../test/sqlite-files.js';
import { createFakeClock, storeContract } from '../../../testing/index.js';
import { StoreProbe } from '../../../testing/store-probe.js';
import { sqliteStore } from './sqlite-store.js';

const { folder, newFile, open, connect } = sqliteFiles();

describe('sqliteStore keeps the contract of stores', () => {
  let file = '';
  const make = () => {
    file = newFile();
    return open({ file });
  };
  const cases = storeContract(make, {
    makePair: () => [make(), open({ file })],
    damage({ namespace, key }) {
      // Text instead of bytes, with another end: nothing that SQLite itself would find fault with.
      const { changes } = connect(file)
        .prepare(
          `update cache1_entry set value = substr(value, 1, length(value) - 1) || x'00'
           where key = ? and generation = (select generation from cache1_space where name = ?)`,
        )
        .run(key, namespace);
      expect(changes).toBe(1);
    },
  });
  it.each(cases)('$name', ({ run }) => run());
});

describe('the options of sqliteStore', () => {
  it.each([
    [{}, "option 'file' must be a string that is not empty, got undefined"],
    [{ file: 7 }, "option 'file' must be a string that is not empty, got 7"],
    [{ file: '' }, "option 'file'"],
    [{ file: `${folder}/a.db`, maxBytes: 0 }, "option 'maxBytes' must be a size above 0"],
    [{ file: `${folder}/a.db`, maxBytes: '1TB' }, "option 'maxBytes'"],
    [{ file: `${folder}/a.db`, coherence: '5' }, "option 'coherence' must be a duration"],
    [{ file: `${folder}/a.db`, clock: {} }, "option 'clock' must be a clock"],
    [{ file: `${folder}/a.db`, maxSize: 1 }, "there is no option 'maxSize'"],
  ])('%o: %s', (options, message) => {
    expect(() => sqliteStore(options as { file: string })).toThrow(message);
    expect(existsSync(`${folder}/a.db`)).toBe(false);
  });

  it('name the store', () => {
    expect(open({ file: newFile() }).name).toBe('sqlite');
    expect(open({ file: newFile(), name: 'answers' }).name).toBe('answers');
  });

  it('take a relative path, and see through links', async () => {
    const file = newFile();
    symlinkSync(file, `${file}.link`);
    const direct = new StoreProbe(open({ file }), createFakeClock());
    const linked = new StoreProbe(open({ file: `${file}.link` }), createFakeClock());
    await direct.set('key', 'value');
    expect(await linked.text('key')).toBe('value');
    expect(existsSync(`${file}.link-wal`)).toBe(false);
  });
});

describe('a closed SQLite store', () => {
  it('refuses every call, and can be closed again', async () => {
    const clock = createFakeClock();
    const store = open({ file: newFile(), clock });
    const probe = new StoreProbe(store, clock);
    await probe.set('key', 'value');
    await store.close();
    await store.close();
    const closed = expect.objectContaining({ code: 'WP_CLOSED' });
    await expect(probe.get('key')).rejects.toEqual(closed);
    await expect(probe.texts(['a', 'b'])).rejects.toEqual(closed);
    await expect(probe.set('key', 'value')).rejects.toEqual(closed);
    await expect(probe.clear()).rejects.toEqual(closed);
    await expect(store.clearExpired()).rejects.toEqual(closed);
    expect(() => store.stats()).toThrow(closed);
    expect(() => store.openFeed('contract')).toThrow(closed);
    expect(clock.pending).toBe(0);
  });

  it('has written what was under way, and put everything into one file', async () => {
    const file = newFile();
    const store = open({ file });
    const probe = new StoreProbe(store, createFakeClock());
    const written = probe.set('key', 'value');
    await store.close();
    expect(await written).toBe(true);
    expect(existsSync(`${file}-wal`)).toBe(false);
    expect(await new StoreProbe(open({ file }), createFakeClock()).text('key')).toBe('value');
  });

  it('leaves its feeds unable to tell', async () => {
    const store = open({ file: newFile() });
    const feed = store.openFeed('contract');
    await store.close();
    expect(feed.poll()).toBe('gap');
    feed.close();
    expect(feed.poll()).toBe(undefined);
  });
});

describe('the names in a SQLite store', () => {
  const odd = ['\ud800', '\udfff', '\ufffd', 'a\ud800b', 'a\ufffdb', '', '__proto__', "'; drop table cache1_entry; --"];

  it('may be any text, also one that UTF-8 cannot tell apart', async () => {
    const clock = createFakeClock();
    const probe = new StoreProbe(open({ file: newFile() }), clock);
    for (const namespace of odd) for (const key of odd) await probe.in(namespace).set(key, `${namespace} ${key}`);
    for (const namespace of odd) {
      expect(await probe.in(namespace).texts(odd)).toEqual(odd.map((key) => `${namespace} ${key}`.toWellFormed()));
    }
    await probe.in('\ud800').delete('\udfff');
    expect(await probe.in('\ud800').texts(['\udfff', '\ufffd'])).toEqual([undefined, '\ufffd \ufffd']);
  });

  it('of tags count as the same rather than too few', async () => {
    const store = open({ file: newFile() });
    const probe = new StoreProbe(store, createFakeClock());
    for (const tag of odd) {
      await probe.set('key', 'value', { tags: [tag] });
      await probe.invalidateTags(tag);
      expect(await probe.text('key')).toBe(undefined);
    }
    // Apart they are lone surrogates, side by side in an envelope they are one letter.
    await probe.set('key', 'value', { tags: ['\ud83d', '\ude42'] });
    await probe.invalidateTags('\ude42');
    expect(await probe.text('key')).toBe(undefined);
  });

  it('come out of the feed as they went in', async () => {
    const file = newFile();
    const probe = new StoreProbe(open({ file }), createFakeClock());
    const feed = open({ file }).openFeed('contract');
    feed.poll();
    await probe.delete(...odd);
    expect(feed.poll()).toEqual([{ type: 'delete', keys: odd }]);
    await probe.invalidateTags(...odd);
    const [news] = feed.poll() ?? [];
    expect(news).toEqual({ type: 'tags', tags: expect.arrayContaining(odd) });
  });
});

describe('the stats of a SQLite store', () => {
  it('count entries and bytes of each namespace through every kind of change', async () => {
    const clock = createFakeClock();
    const store = open({ file: newFile(), clock });
    const [a, b] = ['a', 'b'].map((name) => new StoreProbe(store, clock, name)) as [StoreProbe, StoreProbe];
    expect(store.stats()).toMatchObject({ namespaces: {}, total: { entries: 0, bytes: 0 }, evicted: 0, setAside: 0 });
    for (const key of ['1', '2', '3']) await a.set(key, 'x'.repeat(100));
    await b.set('1', 'x'.repeat(1_000));
    const { namespaces, total, usedBytes, fileBytes } = store.stats();
    expect(namespaces.a?.entries).toBe(3);
    expect(namespaces.b?.entries).toBe(1);
    expect(namespaces.b?.bytes).toBe((namespaces.a?.bytes ?? 0) / 3 + 900);
    expect(total).toEqual({ entries: 4, bytes: (namespaces.a?.bytes ?? 0) + (namespaces.b?.bytes ?? 0) });
    expect(usedBytes).toBe(total.bytes);
    expect(fileBytes).toBeGreaterThan(usedBytes);
    await a.set('1', '');
    await a.delete('2', 'nothing');
    await a.expire('3', 'nothing');
    await a.invalidateTags('tag');
    expect(store.stats().namespaces.a).toEqual({ entries: 2, bytes: ((namespaces.a?.bytes ?? 0) / 3) * 2 - 100 });
    await a.clear();
    expect(store.stats().namespaces.a).toEqual({ entries: 0, bytes: 0 });
    expect(store.stats().usedBytes).toBeGreaterThan(store.stats().total.bytes); // what was cleared is still there
    expect(await store.clearExpired()).toBe(2);
    expect(store.stats().usedBytes).toBe(store.stats().total.bytes);
  });

  it('agree with the tables', async () => {
    const file = newFile();
    const store = open({ file });
    const probe = new StoreProbe(store, createFakeClock());
    for (let index = 0; index < 200; index++) {
      await probe.set(`${index % 37}`, 'x'.repeat((index * 997) % 5_000));
      if (index % 3 === 0) await probe.delete(`${(index * 7) % 37}`);
      if (index % 50 === 0) await probe.clear();
    }
    const db = connect(file);
    const sums = db
      .prepare('select generation id, count(*) entries, sum(size) bytes from cache1_entry group by 1')
      .all();
    const counts = db.prepare('select * from cache1_generation where entries > 0').all();
    expect(counts).toEqual(sums);
  });
});

describe('clearExpired', () => {
  it('removes what is past its time and what was cleared, says how many, and leaves the rest', async () => {
    const clock = createFakeClock();
    const store = open({ file: newFile(), clock });
    const probe = new StoreProbe(store, clock);
    const other = probe.in('other');
    for (let index = 0; index < 600; index++) await probe.set(`short ${index}`, 'x', { keptMs: 1_000 });
    for (let index = 0; index < 10; index++) await other.set(`cleared ${index}`, 'x');
    await probe.set('long', 'x', { keptMs: 10_000 });
    await other.clear();
    await other.set('after', 'x');
    expect(await store.clearExpired()).toBe(10);
    clock.stepWall(1_001);
    expect(await store.clearExpired()).toBe(600);
    expect(await store.clearExpired()).toBe(0);
    expect(await probe.text('long')).toBe('x');
    expect(await other.text('after')).toBe('x');
    expect(store.stats().total.entries).toBe(2);
  });

  it('happens by itself as well', async () => {
    const clock = createFakeClock();
    const store = open({ file: newFile(), clock });
    const probe = new StoreProbe(store, clock);
    for (let index = 0; index < 600; index++) await probe.set(`short ${index}`, 'x', { keptMs: 500 });
    await clock.advance(1_500);
    expect(store.stats().total.entries).toBe(0);
  });

  it('can be stopped', async () => {
    const store = open({ file: newFile() });
    await expect(store.clearExpired({ signal: AbortSignal.abort() })).rejects.toThrow('aborted');
  });
});
