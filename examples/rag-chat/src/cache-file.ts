import type { SqliteStore } from '@warmpath/core/sqlite';
import { messageOf, StartError } from './start-error.js';

/** Enough for some hundred thousand answers. */
const maxBytes = '256MB';

/**
 * The store of the answers that outlive the process. A damaged file is no reason not to start: the store sets it aside, says
 * so by a process warning, and begins anew.
 * @throws StartError when the file cannot be had
 */
export async function openCacheFile(file: string): Promise<SqliteStore> {
  // Not at the top: only who wants a file should load SQLite, of which Node 22 says that it is experimental.
  const { sqliteStore } = await import('@warmpath/core/sqlite');
  try {
    return sqliteStore({ file, maxBytes, name: 'cache file' });
  } catch (error) {
    throw new StartError(
      'The cache file cannot be used.',
      sentenceOf(messageOf(error)),
      'Name another one with --cache or CACHE_FILE, or leave it out to keep answers in memory alone.',
      { cause: error },
    );
  }
}

/** The option that the store's message begins with is none of the user's. */
function sentenceOf(message: string): string {
  const text = message.replace(/^sqliteStore\(\): option 'file': /, '');
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`;
}
