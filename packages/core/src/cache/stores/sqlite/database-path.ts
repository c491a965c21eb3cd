import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { badFile } from './failures.js';

const companions = ['', '-wal', '-shm'] as const;

/**
 * The one path of a database, whatever links lead to it: it decides the names of the files beside it.
 * @throws WarmpathError `WP_BAD_OPTION`
 */
export function canonicalPath(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    const folder = dirname(resolve(file)); // there is no such file yet, or no way to it, which shows now
    try {
      return join(realpathSync(folder), basename(file));
    } catch (error) {
      throw badFile(`there is no folder '${folder}'`, 'create it first', error);
    }
  }
}

/**
 * Which file is there: a number that is not given out again while somebody has it open. Undefined when there is none.
 * Nothing here opens a database that is in use: to close it again would drop the locks that SQLite holds
 * (https://www.sqlite.org/howtocorrupt.html, 2.2).
 * @throws WarmpathError `WP_BAD_OPTION` when it is no file, or may not be written
 */
export function identityOf(path: string): bigint | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  if (found && !found.isFile()) throw badFile(`'${path}' is not a file`, 'name a file in it, or another path');
  return found?.ino;
}

const databaseHeader = 'SQLite format 3\0';

/**
 * A file that no store has used yet and that is no database is not a damaged one: it is somebody's, and named by mistake.
 * @throws WarmpathError `WP_BAD_OPTION`
 */
export function mustNotBeForeign(path: string, lockPath: string): void {
  if (sizeOf(path) === 0 || existsSync(lockPath)) return;
  const header = Buffer.alloc(databaseHeader.length);
  const file = openSync(path, 'r');
  try {
    readSync(file, header, 0, header.length, 0);
  } finally {
    closeSync(file);
  }
  if (header.toString('latin1') === databaseHeader) return;
  throw badFile(`'${path}' is no SQLite database, and not one that was damaged`, 'name another path, or remove it');
}

export function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** @throws WarmpathError `WP_BAD_OPTION` */
export function mustBeWritable(path: string): void {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
  } catch (error) {
    throw badFile(`'${path}' may not be read and written`, 'let this process do so', error);
  }
}

/** Nobody may have the path open. What a database that is gone has left there would be taken for the new one's. */
export function createEmpty(path: string): void {
  if (existsSync(path)) return;
  moveAside(path);
  try {
    closeSync(openSync(path, 'wx'));
  } catch (error) {
    throw badFile(`'${path}' cannot be created`, 'let this process write to the folder', error);
  }
}

/** @returns what the database is called now, or undefined when there was none */
export function moveAside(path: string): string | undefined {
  let number = 1;
  const aside = (companion: string): string => `${path}.corrupt-${number}${companion}`;
  while (companions.some((companion) => existsSync(aside(companion)))) number++;
  const moved = companions.map((companion) => renameIfThere(path + companion, aside(companion)));
  return moved[0] ? aside('') : undefined;
}

function renameIfThere(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw badFile(
      `'${from}' is damaged and cannot be set aside as '${to}'`,
      'let this process write to the folder',
      error,
    );
  }
}
