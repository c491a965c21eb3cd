import type { DatabaseSync } from 'node:sqlite';

/** 'WPMC' in the header of every database that is ours (https://www.sqlite.org/pragma.html#pragma_application_id). */
const applicationId = 0x57504d43;

/**
 * The names carry the version: processes of two versions can use one file at the same time and do not see each other's
 * entries. What a version left behind stays in the file until that is deleted.
 *
 * - `file`: one row. `sequence` numbers the invalidations, `generations` what namespaces hold; `hand` is where eviction stands.
 * - `space`: one row for each namespace. `sequence` is that of its last invalidation, `cleared` that of its last clear;
 *   marks up to a floor have been trimmed.
 * - `generation`: what a namespace holds. A clear gives it a new one; the rows of the old one are dead, and removed later.
 * - `entry`: valid as long as its tags have no mark above its fence. Rows are in the order in which they came.
 * - `used`: the entries that were read since the hand last passed them.
 * - `key_mark`, `tag_mark`: the last invalidation of each key and tag: what voids fences, and what feeds tell others.
 *
 * A write should change few pages, since each goes through the log: no more trees than these, and none for what can be summed.
 */
const schema = `
  create table cache1_file (
    id integer primary key, epoch text not null, sequence integer not null, generations integer not null,
    hand integer not null, lap_end integer not null, evicted integer not null, key_mark_bytes integer not null, tag_mark_bytes integer not null
  );
  create table cache1_space (
    id integer primary key, name not null unique, generation integer not null, sequence integer not null,
    cleared integer not null, cleared_by integer not null, key_floor integer not null, tag_floor integer not null
  );
  create table cache1_generation (id integer primary key, entries integer not null, bytes integer not null);
  create table cache1_entry (
    id integer primary key, generation integer not null, key not null, fence integer not null, size integer not null,
    kept_until real not null, value blob not null, unique (generation, key)
  );
  create index cache1_entry_kept on cache1_entry (kept_until);
  create table cache1_used (id integer primary key);
  create table cache1_key_mark (
    sequence integer primary key, space integer not null, name not null, expired integer not null,
    origin integer not null, unique (space, name)
  );
  create table cache1_tag_mark (
    sequence integer primary key, space integer not null, name not null, expired integer not null,
    origin integer not null, unique (space, name)
  );
`;

/** Whether the tables of this version are there. */
export function hasSchema(db: DatabaseSync): boolean {
  return db.prepare("select 1 from sqlite_master where name = 'cache1_file'").get() !== undefined;
}

/** @param epoch names this file for good; fences of another one are void */
export function createSchema(db: DatabaseSync, epoch: string): void {
  db.exec('begin immediate');
  try {
    if (!hasSchema(db)) {
      db.exec(`pragma application_id = ${applicationId}; ${schema}`);
      db.prepare('insert into cache1_file values (1, ?, 0, 0, 0, 0, 0, 0, 0)').run(epoch);
    }
    db.exec('commit');
  } catch (error) {
    if (db.isTransaction) db.exec('rollback');
    throw error;
  }
}

export function isEmpty(db: Pick<DatabaseSync, 'prepare'>): boolean {
  return db.prepare('select 1 from sqlite_master').get() === undefined;
}

/**
 * Empty, or made by something that uses `createSchema`: anything else belongs to another program. Another process may be making
 * it at this moment: the id comes with the tables, so it is read after them.
 */
export function isOurs(db: Pick<DatabaseSync, 'prepare'>): boolean {
  const wasEmpty = isEmpty(db);
  const [id] = Object.values(db.prepare('pragma application_id').get() ?? {});
  return id === applicationId || (id === 0 && wasEmpty);
}
