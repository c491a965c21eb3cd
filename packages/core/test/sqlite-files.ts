import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, afterEach } from 'vitest';
import { type SqliteStore, type SqliteStoreOptions, sqliteStore } from '../src/cache/stores/sqlite/sqlite-store.js';

/** A folder for the files of one test file, and stores that are closed after each test. */
export interface SqliteFiles {
  readonly folder: string;
  /** A path where nothing is yet. */
  newFile(): string;
  open(options: SqliteStoreOptions): SqliteStore;
  /** Another program's connection to the file. */
  connect(file: string): DatabaseSync;
}

export function sqliteFiles(): SqliteFiles {
  const folder = mkdtempSync(join(tmpdir(), 'warmpath-sqlite-'));
  const stores: SqliteStore[] = [];
  const connections: DatabaseSync[] = [];
  let count = 0;
  afterEach(async () => {
    for (const connection of connections.splice(0)) if (connection.isOpen) connection.close();
    for (const store of stores.splice(0)) await store.close();
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return {
    folder,
    newFile: () => join(folder, `${++count}.db`),
    open(options) {
      const store = sqliteStore(options);
      stores.push(store);
      return store;
    },
    connect(file) {
      const connection = new DatabaseSync(file);
      connections.push(connection);
      return connection;
    },
  };
}
