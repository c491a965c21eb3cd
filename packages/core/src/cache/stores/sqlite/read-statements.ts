import type { DatabaseSync } from 'node:sqlite';
import type { Name } from './names.js';
import { Statement } from './statement.js';

export type Mark = [sequence: number, name: Name, type: 'delete' | 'expire' | 'tags', origin: number];

/** The statements that read. Parameters are plain `?`: Node 22 takes numbered ones for names. */
export class ReadStatements {
  readonly begin: Statement<[]>;
  readonly commit: Statement<[]>;
  readonly space: Statement<[name: Name], [id: number]>;
  readonly sequence: Statement<[space: number], [sequence: number]>;
  readonly entry: Statement<
    [key: Name, space: number],
    [value: Uint8Array | null, fence: number, id: number, sequence: number]
  >;
  /** Entries with this tag are out of date when their fence is below. */
  readonly voidUpTo: Statement<[tag: Name, space: number], [sequence: number]>;
  readonly dataVersion: Statement<[], [version: number]>;
  readonly lastSequence: Statement<[], [sequence: number]>;
  readonly position: Statement<
    [space: Name],
    [id: number, sequence: number, cleared: number, clearedBy: number, floor: number, position: number]
  >;
  readonly marksSince: Statement<[space: number, position: number, limit: number], Mark>;
  /** Whether there is something for housekeeping to remove. */
  readonly hasChores: Statement<[wall: number, maxBytes: number], [hasChores: number]>;
  readonly pages: Statement<[], [all: number, free: number]>;
  readonly totals: Statement<[], [bytes: number | null, evicted: number]>;
  readonly spaces: Statement<[], [name: Name, entries: number, bytes: number]>;

  constructor(db: DatabaseSync) {
    this.begin = new Statement(db, 'begin');
    this.commit = new Statement(db, 'commit');
    this.space = new Statement(db, 'select id from cache1_space where name = ?');
    this.sequence = new Statement(db, 'select sequence from cache1_space where id = ?');
    this.entry = new Statement(
      db,
      `select value, fence, entry.id, space.sequence from cache1_space space
       left join cache1_entry entry on entry.generation = space.generation and entry.key = ? where space.id = ?`,
    );
    this.voidUpTo = new Statement(
      db,
      `select max(tag_floor, ifnull(mark.sequence, 0)) from cache1_space space
       left join cache1_tag_mark mark on mark.space = space.id and mark.name = ? where space.id = ?`,
    );
    this.dataVersion = new Statement(db, 'pragma data_version');
    this.lastSequence = new Statement(db, 'select sequence from cache1_file');
    this.position = new Statement(
      db,
      `select space.id, space.sequence, cleared, cleared_by, max(key_floor, tag_floor), file.sequence
       from cache1_space space, cache1_file file where space.name = ?`,
    );
    this.marksSince = new Statement(
      db,
      `select sequence, name, type, origin from (
         select space, sequence, name, iif(expired, 'expire', 'delete') type, origin from cache1_key_mark
         union all select space, sequence, name, 'tags', origin from cache1_tag_mark
       ) where space = ? and sequence > ? order by sequence limit ?`,
    );
    this.hasChores = new Statement(
      db,
      `select exists (select 1 from cache1_entry where kept_until < ?)
       or exists (select 1 from cache1_generation where id not in (select generation from cache1_space))
       or (select total(bytes) from cache1_generation) > ?`,
    );
    this.pages = new Statement(db, 'select page_count, freelist_count from pragma_page_count, pragma_freelist_count');
    this.totals = new Statement(db, 'select (select sum(bytes) from cache1_generation), evicted from cache1_file');
    this.spaces = new Statement(
      db,
      `select name, entries, bytes from cache1_space space
       join cache1_generation generation on generation.id = space.generation order by name`,
    );
  }
}
