import type { SqliteStore } from '@warmpath/core/sqlite';
import { ConfigError } from './config.js';

/** Enough for some hundred thousand captions. */
const maxBytes = '256MB';

/**
 * A damaged file is no reason not to start: the store sets it aside, says so by a process warning, and begins anew.
 * @throws ConfigError when the file cannot be had
 */
export async function openCacheFile(file: string): Promise<SqliteStore> {
  // Not at the top: only who wants a file should load SQLite, of which Node 22 says that it is experimental.
  const { sqliteStore } = await import('@warmpath/core/sqlite');
  try {
    return sqliteStore({ file, maxBytes, name: 'cache file' });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const reason = why.replace(/^sqliteStore\(\): option 'file': /, '').replace(/\.?$/, '.');
    throw new ConfigError(`CACHE_FILE cannot be used: ${reason}`, { cause: error });
  }
}
