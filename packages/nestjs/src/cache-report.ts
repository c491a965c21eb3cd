import { AsyncLocalStorage } from 'node:async_hooks';
import type { CacheResult } from '@warmpath/core/cache';

/** How one call of a `@Cached` method was answered. */
export interface CacheReport extends Pick<CacheResult<unknown>, 'level' | 'ageMs' | 'stale'> {
  readonly cache: string;
}

/** The most reports kept of one piece of work. */
const mostReports = 100;
const listeners = new AsyncLocalStorage<CacheReport[]>();

/**
 * Runs work and tells which caches answered on its way, in the order in which they did (the first 100): for answers that
 * say where they come from. What other callers' computations ask is theirs and not in the list.
 */
export async function withCacheReports<T>(
  work: () => Promise<T>,
): Promise<{ readonly value: T; readonly reports: readonly CacheReport[] }> {
  const reports: CacheReport[] = [];
  const value = await listeners.run(reports, work);
  return { value, reports };
}

export function reportCacheResult(cache: string, { level, ageMs, stale }: CacheResult<unknown>): void {
  const reports = listeners.getStore();
  if (reports && reports.length < mostReports) reports.push({ cache, level, ageMs, stale });
}
