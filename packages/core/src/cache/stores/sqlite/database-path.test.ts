import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { sqliteFiles } from '../../../../test/sqlite-files.js';
import { createFakeClock } from '../../../testing/index.js';
import { StoreProbe } from '../../../testing/store-probe.js';
import { sqliteStore } from './sqlite-store.js';

const { folder, newFile, open, connect } = sqliteFiles();

describe('a path that cannot hold a store', () => {
  it.each([
    ['a folder', () => folder, /is not a file; name a file in it/],
    [
      'in a folder that does not exist',
      () => join(folder, 'none', 'a.db'),
      /there is no folder '.*none'; create it first/,
    ],
    ['below a file', () => join(fileOf('text'), 'a.db'), /there is no folder|cannot be opened/],
    ['a device', () => '/dev/null', /is not a file/],
    ['a link to a folder', () => linkTo(folder), /is not a file/],
    ['with a lock that is something else', () => withLock('not empty'), /\.lock' is not empty; remove it/],
    ['with a folder for a lock', () => withLock(undefined), /\.lock' cannot be opened/],
  ])('because it is %s is refused', (_, path, message) => {
    const file = path();
    expect(() => sqliteStore({ file })).toThrow(message);
    expect(() => sqliteStore({ file })).toThrow(
      expect.objectContaining({ code: 'WP_BAD_OPTION', details: { where: 'sqliteStore()', option: 'file' } }),
    );
  });
});

describe('the database of another program', () => {
  it.each([
    ['with tables of its own', 'create table users (name); insert into users values (1)'],
    ['with a view only', 'create view v as select 1'],
    ['with an application id', 'pragma application_id = 17'],
    ['in its own log', 'pragma journal_mode = wal; create table users (name)'],
  ])('%s is refused and left as it is', (_, sql) => {
    const file = newFile();
    change(file, sql);
    const digest = digestOf(file);
    expect(() => sqliteStore({ file })).toThrow(/belongs to another program; name a file of its own/);
    expect(digestOf(file)).toBe(digest);
    expect(existsSync(`${file}.corrupt-1`)).toBe(false);
  });

  it('is refused and left as it is when it is no database at all, such as notes named by mistake', () => {
    const file = fileOf('# Notes');
    const entries = readdirSync(dirname(file)).length;
    expect(() => sqliteStore({ file })).toThrow(
      /'file': '.*' is no SQLite database.*name another path, or remove it\./,
    );
    expect(readFileSync(file, 'utf8')).toBe('# Notes');
    expect(readdirSync(dirname(file)).length).toBe(entries);
  });

  it('is not refused while it is empty', async () => {
    const empty = fileOf('');
    const touched = newFile();
    change(touched, 'create table t (a); drop table t');
    for (const file of [empty, touched]) expect(await setup(file).probe.set('key', 'value')).toBe(true);
  });
});

describe('a file of another version of ours', () => {
  it('is used without what it holds, and keeps it', async () => {
    const { file, store, probe } = setup();
    await probe.set('key', 'of another version');
    await store.close();
    change(file, renameTables('cache1', 'cache0'));
    const { probe: current } = setup(file);
    expect(await current.get('key')).toBe(undefined);
    await current.set('key', 'of this version');
    expect(await current.text('key')).toBe('of this version');
    await current.clear();
    expect(connect(file).prepare('select count(*) count from cache0_entry').get()).toEqual({ count: 1 });
  });
});

const digestOf = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

function setup(file: string = newFile()) {
  const store = open({ file });
  return { file, store, probe: new StoreProbe(store, createFakeClock()) };
}

function change(file: string, sql: string): void {
  const db = connect(file);
  db.exec(sql);
  db.close();
}

function renameTables(from: string, to: string): string {
  const tables = ['file', 'space', 'generation', 'entry', 'used', 'key_mark', 'tag_mark'];
  return `drop index ${from}_entry_kept;`.concat(
    ...tables.map((table) => `alter table ${from}_${table} rename to ${to}_${table};`),
  );
}

function fileOf(text: string): string {
  const file = newFile();
  writeFileSync(file, text);
  return file;
}

function linkTo(target: string): string {
  const file = newFile();
  symlinkSync(target, file);
  return file;
}

function withLock(content: string | undefined): string {
  const file = newFile();
  const lock = join(folder, `.${file.slice(folder.length + 1)}.lock`);
  if (content === undefined) mkdirSync(lock);
  else writeFileSync(lock, content.repeat(100));
  return file;
}
