import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sqliteFiles } from '../../../../test/sqlite-files.js';
import { seededRandom } from '../../../kernel/index.js';
import { createFakeClock, type FakeClock } from '../../../testing/index.js';
import { StoreProbe } from '../../../testing/store-probe.js';
import type { SqliteStore } from './sqlite-store.js';

const { newFile, open, connect } = sqliteFiles();

/** What the process was warned of, which is not printed meanwhile. */
let warnings: string[] = [];
const listen = (warning: Error & { code?: string }): void => {
  warnings.push(`${warning.code}: ${warning.message}`);
};
const printers = process.listeners('warning');
beforeEach(() => {
  warnings = [];
  process.removeAllListeners('warning');
  process.on('warning', listen);
});
afterEach(() => {
  process.removeAllListeners('warning');
  for (const printer of printers) process.on('warning', printer);
});

interface Setup {
  readonly file: string;
  readonly clock: FakeClock;
  readonly store: SqliteStore;
  readonly probe: StoreProbe;
}

function setup(file: string = newFile(), clock: FakeClock = createFakeClock()): Setup {
  const store = open({ file, clock });
  return { file, clock, store, probe: new StoreProbe(store, clock) };
}

const keys = Array.from({ length: 400 }, (_, at) => `key ${at}`);

/** A closed file of about 2 MB, so that not all of it is in anybody's memory. */
async function filledFile(): Promise<string> {
  const { file, store, probe } = setup();
  await probe.write(keys.map((key) => ({ key, entry: probe.entryOf(`${key} ${'x'.repeat(4_000)}`) })));
  await store.close();
  return file;
}

function overwrite(file: string, at: number, bytes: Uint8Array): void {
  const handle = openSync(file, 'r+');
  writeSync(handle, bytes, 0, bytes.length, at);
  closeSync(handle);
}

const noise = (bytes: number, seed = 3): Uint8Array => {
  const random = seededRandom(seed);
  return Uint8Array.from({ length: bytes }, () => Math.floor(random() * 256));
};

const digestOf = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

describe('a damaged file', () => {
  it.each([
    ['begins with garbage', (file: string) => overwrite(file, 0, noise(100))],
    ['is nothing but garbage', (file: string) => writeFileSync(file, noise(5_000))],
    ['is text', (file: string) => writeFileSync(file, 'this is no database')],
    ['was cut short', (file: string) => truncateSync(file, 20_000)],
    ['was cut in the middle of its first page', (file: string) => truncateSync(file, 1_000)],
    ['has another first page', (file: string) => overwrite(file, 100, noise(3_900))],
    ['has lost its tables', dropTables],
    ['has lost half of its tables', (file: string) => change(file, 'drop table cache1_file')],
    ['has lost its counters', (file: string) => change(file, 'delete from cache1_file')],
  ])('that %s when it is opened is set aside whole, and a new one begun', async (_, spoil) => {
    const file = await filledFile();
    spoil(file);
    const digest = digestOf(file);
    const { store, probe } = setup(file);
    expect(await probe.get('key 1')).toBe(undefined);
    expect(await probe.set('key 1', 'new')).toBe(true);
    expect(await probe.text('key 1')).toBe('new');
    expect(store.stats().setAside).toBe(1);
    expect(digestOf(`${file}.corrupt-1`)).toBe(digest);
    await new Promise((resolve) => setImmediate(resolve));
    expect(warnings).toEqual([
      expect.stringMatching(
        /^WARMPATH_SQLITE: The SQLite store '.*' is damaged \(.+\)\. It was set aside as '.*\.corrupt-1'/,
      ),
    ]);
  });

  it('takes the next free name', async () => {
    const file = await filledFile();
    writeFileSync(`${file}.corrupt-1`, 'the first');
    writeFileSync(`${file}.corrupt-2-wal`, 'the second');
    overwrite(file, 0, noise(100));
    setup(file);
    expect(readFileSync(`${file}.corrupt-1`, 'utf8')).toBe('the first');
    expect(readFileSync(`${file}.corrupt-2-wal`, 'utf8')).toBe('the second');
    expect(existsSync(`${file}.corrupt-3`)).toBe(true);
  });

  it('that shows it only later never serves anything but what was set, and is set aside in the end', {
    timeout: 30_000,
  }, async () => {
    for (let seed = 1; seed <= 3; seed++) {
      const file = await filledFile();
      const { clock, store, probe } = setup(file);
      for (let page = 2; page < statSync(file).size / 4_096; page += 1 + (seed % 3)) {
        overwrite(file, page * 4_096, noise(4_096, seed * 1_000 + page));
      }
      for (const key of keys) {
        const { entries } = await probe.read([key]);
        const [entry] = entries;
        if (entry && entry !== 'unreadable')
          expect(Buffer.from(entry.bytes).toString()).toMatch(new RegExp(`^${key} x`));
      }
      for (const key of keys) await Promise.allSettled([probe.set(key, 'new'), probe.delete(`other ${key}`)]);
      await clock.advance(2_000);
      expect(store.stats().setAside).toBe(1);
      expect(await probe.set('key', 'value')).toBe(true);
      expect(await probe.text('key')).toBe('value');
      await store.close();
    }
  });

  it.each([
    ['is cut', (file: string) => truncateSync(file, 0)],
    ['loses its counters', (file: string) => change(file, 'delete from cache1_file')],
    ['loses its namespaces', (file: string) => change(file, 'delete from cache1_space')],
    ['loses its tables', dropTables],
  ])('that %s while it is in use is set aside', async (_, spoil) => {
    const { file, store, probe } = setup(await filledFile());
    await probe.get('key 1');
    spoil(file);
    for (const key of keys) await Promise.allSettled([probe.get(key), probe.set(key, 'new')]);
    expect(await probe.set('key', 'value')).toBe(true);
    expect(await probe.text('key')).toBe('value');
    expect(store.stats().setAside).toBe(1);
  });

  it('is not followed by another before everybody has let go of it, and nothing is promised in between', async () => {
    const file = await filledFile();
    const clocks = [createFakeClock(), createFakeClock()] as const;
    const [first, second] = [setup(file, clocks[0]), setup(file, clocks[1])];
    const feed = first.store.openFeed('contract');
    expect(feed.poll()).toBe(undefined);
    change(file, 'drop table cache1_entry');
    expect(await first.probe.get('key 1')).toBe(undefined); // finds it, and lets go
    expect(existsSync(`${file}.corrupt-1`)).toBe(true);
    expect(existsSync(file)).toBe(false);
    await nextTurn();
    expect(feed.poll()).toBe('gap');
    const fence = await first.probe.fence(['key']);
    const written = first.probe.set('key', 'value', { fence });
    const deleted = first.probe.delete('key');
    let isDeleted = false;
    void deleted.then(() => {
      isDeleted = true;
    });
    await clocks[0].advance(1_000);
    expect(isDeleted).toBe(false);
    expect(existsSync(file)).toBe(false);
    await clocks[1].advance(1_000); // the housekeeping of the second finds that its file has gone
    await clocks[0].advance(100);
    expect(isDeleted).toBe(true);
    expect(await written).toBe(false); // its fence was taken when there was no file
    await first.probe.set('key', 'shared');
    expect(await second.probe.text('key')).toBe('shared');
    expect(first.store.stats().setAside + second.store.stats().setAside).toBe(1);
    expect(feed.poll()).toBe('gap');
    await nextTurn();
    expect(feed.poll()).toBe(undefined);
    await second.probe.delete('key');
    expect(feed.poll()).toEqual([{ type: 'delete', keys: ['key'] }]);
  });

  it('is set aside once a minute at the most', async () => {
    const { file, clock, store, probe } = setup(await filledFile());
    change(file, 'drop table cache1_entry');
    expect(await probe.set('key', 'value')).toBe(true);
    change(file, 'drop table cache1_entry');
    await expect(probe.set('key', 'value')).rejects.toThrow(/is damaged again \(.+\); check the disk/);
    await expect(probe.get('key')).rejects.toThrow('is damaged again');
    expect(existsSync(`${file}.corrupt-2`)).toBe(false);
    await clock.advance(60_000);
    expect(await probe.set('key', 'value')).toBe(true);
    expect(store.stats().setAside).toBe(2);
  });

  it('of another process’s log, left behind by its death, is not read into a new one', async () => {
    const { file, store, probe } = setup();
    await probe.set('key', 'old');
    const log = readFileSync(`${file}-wal`);
    await store.close();
    rmSync(file);
    writeFileSync(`${file}-wal`, log);
    const again = setup(file);
    expect(await again.probe.text('key')).toBe(undefined);
    expect(readFileSync(`${file}.corrupt-1-wal`).equals(log)).toBe(true);
  });
});

describe('a file that goes away while it is in use', () => {
  it.each([
    ['deleted', (file: string) => rmSync(file)],
    ['moved', (file: string) => renameSync(file, `${file}.moved`)],
    ['deleted with all that belongs to it', (file: string) => removeAll(file)],
  ])('because it was %s is let go of, and another one begun', async (_, remove) => {
    const { file, clock, probe } = setup();
    await probe.set('key', 'old');
    remove(file);
    await clock.advance(1_000);
    expect(await probe.get('key')).toBe(undefined);
    expect(await probe.set('key', 'new')).toBe(true);
    const second = setup(file);
    expect(await second.probe.text('key')).toBe('new');
    expect(warnings).toEqual([]);
  });
});

function change(file: string, sql: string): void {
  const db = connect(file);
  db.exec(sql);
  db.close();
}

function dropTables(file: string): void {
  change(file, 'drop table cache1_entry; drop table cache1_space');
}

function removeAll(file: string): void {
  for (const companion of ['', '-wal', '-shm']) rmSync(file + companion, { force: true });
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
