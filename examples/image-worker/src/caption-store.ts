import { Inject, Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import type { CacheStore, LimiterStore, Warmpath, WarmpathEvent } from '@warmpath/core';
import { InjectWarmpath } from '@warmpath/nestjs';
import { openCacheFile } from './cache-file.js';
import type { WorkerConfig } from './config.js';
import { openRedis } from './redis.js';
import { withoutSecrets } from './redis-address.js';
import { watchStore } from './store-watch.js';

/** Where captions are kept beside memory, or undefined where that is nowhere. */
export const CAPTION_STORE: unique symbol = Symbol('caption store');

export interface CaptionStore {
  readonly store: CacheStore;
  /** Where several processes count together. */
  readonly limits?: LimiterStore;
  /** Puts into the log what has become of it, from whatever the runtime reports. */
  onEvent(event: WarmpathEvent): void;
  close(): Promise<void>;
}

/** For the log; undefined: in memory alone. */
export function placeOf({ cacheFile, redisUrl }: Pick<WorkerConfig, 'cacheFile' | 'redisUrl'>): string | undefined {
  return redisUrl === undefined ? cacheFile : `Redis at ${withoutSecrets(redisUrl)}`;
}

/** @throws ConfigError when the cache file cannot be had */
export async function openCaptionStore(config: WorkerConfig): Promise<CaptionStore | undefined> {
  const { cacheFile, redisUrl } = config;
  const log = new Logger('Cache');
  if (redisUrl !== undefined) return openRedis(redisUrl, placeOf(config) ?? 'Redis', log);
  if (cacheFile === undefined) return undefined;
  const store = await openCacheFile(cacheFile);
  return { store, onEvent: watchStore('The cache file', log), close: () => store.close() };
}

/** Closes the store after the runtime, which may write to it until then. */
@Injectable()
export class CaptionStoreCloser implements OnApplicationShutdown {
  readonly #kept: CaptionStore | undefined;
  readonly #warmpath: Warmpath;

  constructor(@Inject(CAPTION_STORE) kept: CaptionStore | undefined, @InjectWarmpath() warmpath: Warmpath) {
    this.#kept = kept;
    this.#warmpath = warmpath;
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#warmpath.close();
    await this.#kept?.close();
  }
}
