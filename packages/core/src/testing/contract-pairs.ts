import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { Invalidation, StoreFeed } from '../cache/index.js';
import { computedTags, doomsOf } from './contract-fences.js';
import type { DeclarePairPromise } from './store-probe.js';

/** What holds for one store holds for two over the same data; and where one hears what the other does, it hears it all. */
export function pairPromises(
  promise: DeclarePairPromise,
  { fencesKeys, newsWithinMs }: { fencesKeys: boolean; newsWithinMs: number },
): void {
  promise('finds what another store over the same data has set', async (first, second) => {
    await first.set('key', 'shared', { tags: ['tag'] });
    strictEqual(await second.text('key'), 'shared');
  });
  promise('does not find what another has invalidated', async (first, second) => {
    for (const { what, invalidate } of doomsOf(true)) {
      await first.set('key', 'value', { tags: computedTags });
      strictEqual(await second.text('key'), 'value');
      await invalidate(second);
      await first.holdsNothingFresh('key', `there was ${what}`);
    }
  });
  for (const { what, known, invalidate } of doomsOf(fencesKeys)) {
    promise(`never serves what was computed before ${what} by another`, async (first, second) => {
      const fence = await first.fence(['key'], known);
      await invalidate(second);
      await first.set('key', 'doomed', { tags: computedTags, fence });
      await first.holdsNothingFresh('key', 'it was computed before');
      await second.holdsNothingFresh('key', 'it was computed before');
    });
  }
  hearsOthers(promise, newsWithinMs);
}

/** A feed that cannot tell exactly what has happened may say that more has, never less. */
function hearsOthers(promise: DeclarePairPromise, newsWithinMs: number): void {
  const all: readonly Invalidation[] = [
    { type: 'delete', keys: ['a', 'b'] },
    { type: 'expire', keys: ['c'] },
    { type: 'tags', tags: ['tag', 'other'] },
    { type: 'clear' },
  ];
  promise('hears of every invalidation by another, once', async (first, second) => {
    const feed = second.store.openFeed?.(second.namespace);
    if (!feed) return;
    strictEqual(nothingBut('gap', feed.poll()), undefined);
    for (const invalidation of all) {
      await first.invalidate(invalidation);
      await hears(feed, newsWithinMs, [invalidation]);
    }
    strictEqual(feed.poll(), undefined);
    for (const invalidation of all) await first.invalidate(invalidation);
    await hears(feed, newsWithinMs, all);
    strictEqual(feed.poll(), undefined);
    feed.close();
  });
  promise('hears nothing of what it does itself, nor of other namespaces', async (first, second) => {
    const feed = second.store.openFeed?.(second.namespace);
    if (!feed) return;
    for (const invalidation of all) {
      await second.invalidate(invalidation);
      await first.in('contract:other').invalidate(invalidation);
    }
    await first.delete('heard');
    const news = await hears(feed, newsWithinMs, [{ type: 'delete', keys: ['heard'] }]);
    if (!news.includes('gap')) deepStrictEqual(news, [{ type: 'delete', keys: ['heard'] }]);
    feed.close();
  });
  promise('hears nothing from before its feed was opened, or after it was closed', async (first, second) => {
    await first.clear();
    const feed = second.store.openFeed?.(second.namespace);
    if (!feed) return;
    strictEqual(nothingBut('gap', feed.poll()), undefined);
    feed.close();
    await first.clear();
    strictEqual(nothingBut('gap', feed.poll()), undefined);
    feed.close();
  });
}

type News = Invalidation | 'gap';

function nothingBut(allowed: News, news: readonly Invalidation[] | 'gap' | undefined): unknown {
  return news === allowed ? undefined : news;
}

const pollEveryMs = 5;

/** Asks until it has heard of them all. */
async function hears(feed: StoreFeed, withinMs: number, expected: readonly Invalidation[]): Promise<News[]> {
  const heard: News[] = [];
  for (let waitedMs = 0; waitedMs < withinMs; waitedMs += pollEveryMs) {
    const news = feed.poll();
    if (news !== undefined) heard.push(...(news === 'gap' ? [news] : news));
    if (expected.every((each) => isCovered(each, heard))) return heard;
    await delay(pollEveryMs);
  }
  ok(false, `after ${withinMs} ms only this was heard: ${JSON.stringify(heard)}`);
}

function isCovered(expected: Invalidation, heard: readonly News[]): boolean {
  if (heard.includes('gap') || heard.some((each) => each !== 'gap' && each.type === 'clear')) return true;
  if (expected.type === 'clear') return false;
  const names = namesOf(expected);
  const same = heard.flatMap((each) => (each !== 'gap' && each.type === expected.type ? namesOf(each) : []));
  return names.every((name) => same.includes(name));
}

function namesOf(invalidation: Invalidation): readonly string[] {
  if (invalidation.type === 'clear') return [];
  return invalidation.type === 'tags' ? invalidation.tags : invalidation.keys;
}
