import { Inject, Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import type { Warmpath, WarmpathEvent } from '@warmpath/core';
import type { SqliteStore } from '@warmpath/core/sqlite';
import { InjectWarmpath } from '@warmpath/nestjs';
import { ConfigError } from './config.js';

/** The store of the captions that outlive the process, or undefined where none is configured. */
export const CACHE_FILE: unique symbol = Symbol('cache file');

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

/** Closes the file after the runtime, which may write to it until then. */
@Injectable()
export class CacheFileCloser implements OnApplicationShutdown {
  readonly #store: SqliteStore | undefined;
  readonly #warmpath: Warmpath;

  constructor(@Inject(CACHE_FILE) store: SqliteStore | undefined, @InjectWarmpath() warmpath: Warmpath) {
    this.#store = store;
    this.#warmpath = warmpath;
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#warmpath.close();
    await this.#store?.close();
  }
}

/** Says once in the log that the file cannot be read or written, and once that it can be again. */
export function watchCacheFile(): (event: WarmpathEvent) => void {
  const log = new Logger('Cache');
  const outages = new Set<string>();
  return function watch(event) {
    if (event.type !== 'cache.store-state' || event.state === 'half-open') return;
    const what = `The cache file can${event.state === 'open' ? 'not' : ''} be ${event.access === 'reading' ? 'read' : 'written'}`;
    const outage = `${event.cache} ${event.access}`;
    if (event.state === 'closed') {
      if (outages.delete(outage)) log.warn(`${what} again (${event.cache}).`);
    } else if (!outages.has(outage)) {
      outages.add(outage);
      log.warn(`${what} for now, so captions are kept in memory alone (${event.cache}).`);
    }
  };
}
