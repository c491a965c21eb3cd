import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, it, onTestFinished } from 'vitest';
import { createSchema, isOurs } from './schema.js';

it('a file whose tables another process makes between two looks at it is ours', () => {
  const folder = mkdtempSync(join(tmpdir(), 'warmpath-schema-'));
  const [one, other] = [1, 2].map(() => new DatabaseSync(join(folder, 'cache.db'))) as [DatabaseSync, DatabaseSync];
  onTestFinished(() => {
    one.close();
    other.close();
    rmSync(folder, { recursive: true });
  });
  let looks = 0;
  const watched: Pick<DatabaseSync, 'prepare'> = {
    prepare(sql) {
      if (looks++ === 1) createSchema(other, 'epoch');
      return one.prepare(sql);
    },
  };
  expect(isOurs(watched)).toBe(true);
  expect(looks).toBe(2);
});
