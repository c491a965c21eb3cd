import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { digestKey } from '@warmpath/core/kernel';
import { type SqliteStore, sqliteStore } from '@warmpath/core/sqlite';
import { measure, type Outcome, printTable, ratiosOf, rounded } from '#harness';

const count = 1_000;
const valueBytes = 300;
const batch = 100;

/** What does an entry from the SQLite store cost, next to a bare prepared statement on the same values? */
export async function sqlite(): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'warmpath-bench-'));
  const store = sqliteStore({ file: join(folder, 'store.db') });
  const bare = new DatabaseSync(join(folder, 'bare.db'));
  try {
    return await compare(store, bare);
  } finally {
    await store.close();
    bare.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function compare(store: SqliteStore, bare: DatabaseSync): Promise<Outcome> {
  bare.exec('pragma journal_mode = wal; pragma synchronous = normal; create table e (k text primary key, v blob)');
  const insert = bare.prepare('insert into e values (?, ?) on conflict do update set v = excluded.v');
  const select = bare.prepare('select v from e where k = ?');
  const keys = Array.from({ length: count }, (_, index) => digestKey(`question ${index}`));
  const value = Buffer.alloc(valueBytes, 'An answer of some length. ');
  const { signal } = new AbortController();
  let at = 0;
  const next = (): string => keys[at++ % count] ?? '';
  const entryOf = (key: string) => ({ key, entry: entry(value), fence: undefined });
  const set = (some: readonly string[]) => store.setMany({ namespace: 'answers', entries: some.map(entryOf), signal });
  const setBare = (some: readonly string[]) => {
    bare.exec('begin');
    for (const key of some) insert.run(key, value);
    bare.exec('commit');
  };
  await set(keys);
  setBare(keys);

  const measured = [
    await measure({
      name: 'sqlite.get/node-sqlite.get',
      ours: () => store.getMany({ namespace: 'answers', keys: [next()], tags: [], signal }),
      peer: () => select.get(next()),
    }),
    await measure({
      name: 'sqlite.getMany/node-sqlite.get',
      ours: () => store.getMany({ namespace: 'answers', keys: keys.slice(0, batch), tags: [], signal }),
      peer: () => keys.slice(0, batch).map((key) => select.get(key)),
      units: batch,
    }),
    await measure({
      name: 'sqlite.set/node-sqlite.set',
      ours: () => set([next()]),
      peer: () => insert.run(next(), value),
    }),
    await measure({
      name: 'sqlite.setMany/node-sqlite.set',
      ours: () => set(keys.slice(0, batch)),
      peer: () => setBare(keys.slice(0, batch)),
      units: batch,
    }),
  ];
  console.log(`Entries of ${valueBytes} bytes, ${batch} at once for each of the "many"`);
  printTable(measured);
  return { ratios: ratiosOf(measured), values: { 'sqlite.get': rounded(measured[0]?.oursNs ?? Number.NaN) } };
}

function entry(bytes: Uint8Array) {
  const storedAt = 1_760_000_000_000;
  return { bytes, storedAt, freshUntil: 9e12, keptUntil: 9e12, computeMs: 1_000, tags: [] };
}
