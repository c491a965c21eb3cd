import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';

/** A prepared statement whose rows are tuples. */
export class Statement<In extends readonly SQLInputValue[], Out extends readonly unknown[] = []> {
  readonly #statement: StatementSync;

  constructor(db: DatabaseSync, sql: string) {
    this.#statement = db.prepare(sql);
    this.#statement.setReturnArrays(true);
  }

  get(...values: In): Out | undefined {
    const row: unknown = this.#statement.get(...values);
    return row as Out | undefined;
  }

  all(...values: In): readonly Out[] {
    const rows: unknown = this.#statement.all(...values);
    return rows as readonly Out[];
  }

  run(...values: In): void {
    this.#statement.run(...values);
  }

  /** @returns the id of the new row */
  insert(...values: In): number {
    return Number(this.#statement.run(...values).lastInsertRowid);
  }
}
