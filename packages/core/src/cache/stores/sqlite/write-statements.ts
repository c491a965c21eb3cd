import type { DatabaseSync, SQLInputValue } from 'node:sqlite';
import type { Name } from './names.js';
import { Statement } from './statement.js';

export type FileRow = [
  sequence: number,
  generations: number,
  hand: number,
  lapEnd: number,
  evicted: number,
  keyMarkBytes: number,
  tagMarkBytes: number,
];

export type SpaceRow = [
  id: number,
  generation: number,
  sequence: number,
  cleared: number,
  clearedBy: number,
  keyFloor: number,
  tagFloor: number,
];

export type EntryRow = [id: number, generation: number, size: number];
export type MarkRow = [sequence: number, expired: number, origin: number];

/** The statements of write transactions. Parameters are plain `?`: Node 22 takes numbered ones for names. */
export class WriteStatements {
  readonly begin: Statement<[]>;
  readonly commit: Statement<[]>;
  readonly file: Statement<[], FileRow>;
  readonly saveFile: Statement<FileRow>;
  readonly space: Statement<[name: Name], SpaceRow>;
  readonly addSpace: Statement<[name: Name, generation: number]>;
  readonly saveSpace: Statement<[generation: number, sequence: number, cleared: number, clearedBy: number, id: number]>;
  readonly addGeneration: Statement<[id: number]>;
  readonly generation: Statement<[id: number], [entries: number]>;
  readonly countGeneration: Statement<[entries: number, bytes: number, id: number]>;
  readonly bytes: Statement<[], [bytes: number | null]>;
  readonly deadGeneration: Statement<[], [id: number]>;
  readonly dropGeneration: Statement<[id: number]>;
  readonly find: Statement<[generation: number, key: Name], EntryRow>;
  readonly value: Statement<[id: number], [value: Uint8Array]>;
  readonly add: Statement<
    [generation: number, key: Name, fence: number, size: number, keptUntil: number, value: Uint8Array]
  >;
  readonly replace: Statement<[fence: number, size: number, keptUntil: number, value: Uint8Array, id: number]>;
  readonly rewrite: Statement<[value: Uint8Array, id: number]>;
  readonly remove: Statement<[id: number]>;
  readonly use: Statement<[id: number]>;
  readonly unuse: Statement<[id: number]>;
  readonly overdue: Statement<[wall: number, limit: number], EntryRow>;
  readonly dead: Statement<[generation: number, limit: number], EntryRow>;
  readonly newest: Statement<[], [id: number | null]>;
  readonly between: Statement<[hand: number, end: number, limit: number], [...EntryRow, isUsed: number]>;
  readonly keyMarks: MarkStatements;
  readonly tagMarks: MarkStatements;

  constructor(db: DatabaseSync) {
    const prepare = <In extends readonly SQLInputValue[], Out extends readonly unknown[] = []>(sql: string) =>
      new Statement<In, Out>(db, sql);
    this.begin = prepare('begin immediate');
    this.commit = prepare('commit');
    this.file = prepare(
      'select sequence, generations, hand, lap_end, evicted, key_mark_bytes, tag_mark_bytes from cache1_file',
    );
    this.saveFile = prepare(
      `update cache1_file set sequence = ?, generations = ?, hand = ?, lap_end = ?, evicted = ?, key_mark_bytes = ?,
       tag_mark_bytes = ?`,
    );
    this.space = prepare(
      `select id, generation, sequence, cleared, cleared_by, key_floor, tag_floor from cache1_space where name = ?`,
    );
    this.addSpace = prepare('insert into cache1_space values (null, ?, ?, 0, 0, 0, 0, 0)');
    this.saveSpace = prepare(
      'update cache1_space set generation = ?, sequence = ?, cleared = ?, cleared_by = ? where id = ?',
    );
    this.addGeneration = prepare('insert into cache1_generation values (?, 0, 0)');
    this.generation = prepare('select entries from cache1_generation where id = ?');
    this.countGeneration = prepare(
      'update cache1_generation set entries = entries + ?, bytes = bytes + ? where id = ?',
    );
    this.bytes = prepare('select sum(bytes) from cache1_generation');
    this.deadGeneration = prepare(
      'select id from cache1_generation where id not in (select generation from cache1_space) limit 1',
    );
    this.dropGeneration = prepare('delete from cache1_generation where id = ?');
    this.find = prepare('select id, generation, size from cache1_entry where generation = ? and key = ?');
    this.value = prepare('select value from cache1_entry where id = ?');
    this.add = prepare('insert into cache1_entry values (null, ?, ?, ?, ?, ?, ?)');
    this.replace = prepare('update cache1_entry set fence = ?, size = ?, kept_until = ?, value = ? where id = ?');
    this.rewrite = prepare('update cache1_entry set value = ? where id = ?');
    this.remove = prepare('delete from cache1_entry where id = ?');
    this.use = prepare('insert or ignore into cache1_used select id from cache1_entry where id = ?');
    this.unuse = prepare('delete from cache1_used where id = ?');
    this.overdue = prepare('select id, generation, size from cache1_entry where kept_until < ? limit ?');
    this.dead = prepare('select id, generation, size from cache1_entry where generation = ? limit ?');
    this.newest = prepare('select max(id) from cache1_entry');
    this.between = prepare(
      `select id, generation, size, exists (select 1 from cache1_used used where used.id = entry.id)
       from cache1_entry entry where id > ? and id <= ? order by id limit ?`,
    );
    this.keyMarks = new MarkStatements(db, 'key');
    this.tagMarks = new MarkStatements(db, 'tag');
  }
}

/** Tags have the same table as keys; none of them is ever only expired. */
export class MarkStatements {
  readonly find: Statement<[space: number, name: Name], MarkRow>;
  readonly add: Statement<[...MarkRow, space: number, name: Name]>;
  readonly move: Statement<[...MarkRow, from: number]>;
  /** By somebody else, above a sequence. */
  readonly findOther: Statement<[above: number, space: number, origin: number], [one: number]>;
  readonly oldest: Statement<[limit: number], [sequence: number, space: number, name: Name]>;
  readonly trim: Statement<[upTo: number]>;
  readonly raiseFloor: Statement<[floor: number, space: number]>;

  constructor(db: DatabaseSync, kind: 'key' | 'tag') {
    const table = `cache1_${kind}_mark`;
    this.find = new Statement(db, `select sequence, expired, origin from ${table} where space = ? and name = ?`);
    this.add = new Statement(
      db,
      `insert into ${table} (sequence, expired, origin, space, name) values (?, ?, ?, ?, ?)`,
    );
    this.move = new Statement(db, `update ${table} set sequence = ?, expired = ?, origin = ? where sequence = ?`);
    this.findOther = new Statement(db, `select 1 from ${table} where sequence > ? and space = ? and origin <> ?`);
    this.oldest = new Statement(db, `select sequence, space, name from ${table} order by sequence limit ?`);
    this.trim = new Statement(db, `delete from ${table} where sequence <= ?`);
    this.raiseFloor = new Statement(db, `update cache1_space set ${kind}_floor = max(${kind}_floor, ?) where id = ?`);
  }
}
