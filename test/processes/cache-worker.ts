import { createCache } from '@warmpath/core/cache';
import { seededRandom } from '@warmpath/core/kernel';
import { sqliteStore } from '@warmpath/core/sqlite';

/**
 * One process of many on a SQLite file, for test/cache-processes.test.ts: reads, and invalidates what has changed, until it
 * is killed. The truth about every key is kept by the parent, which answers questions in the order in which they come:
 * so what it has been told was invalidated before a read began, that read must not miss.
 */
const [file = '', seed = '0'] = process.argv.slice(2);
const random = seededRandom(Number(seed));
const pick = (below: number): number => Math.floor(random() * below);

export type Question =
  /** The version that a key has, and the one whose invalidation was confirmed. */
  | { readonly ask: 'truth' | 'confirmed'; readonly key: number }
  /** These keys have changed. @returns their new versions */
  | { readonly ask: 'change'; readonly keys: readonly number[] }
  /** The cache has confirmed that what was kept before these versions is forgotten. */
  | { readonly ask: 'confirm'; readonly keys: readonly number[]; readonly versions: readonly number[] }
  | { readonly ask: 'done'; readonly level: string; readonly fault: string | undefined; readonly ms: number };

export const keyCount = 24;
export const tagCount = 4;

const asked = new Map<number, (answer: readonly number[]) => void>();
let questions = 0;

process.on('message', ({ id, answer }: { id: number; answer: readonly number[] }) => {
  asked.get(id)?.(answer);
  asked.delete(id);
});

function ask(question: Question): Promise<readonly number[]> {
  const id = ++questions;
  return new Promise((resolve) => {
    asked.set(id, resolve);
    process.send?.({ id, question });
  });
}

const store = sqliteStore({ file, maxBytes: '10MB' });
// The machine has fewer cores than the test has processes: the deadline is not the question here.
const cache = createCache({ name: 'shared', ttl: '10s', store, storeTimeout: '5s' });

async function read(key: number): Promise<{ level: string; fault?: string }> {
  const [confirmed = 0] = await ask({ ask: 'confirmed', key });
  const { value, level } = await cache.resolve(
    key,
    async () => {
      const [version = 0] = await ask({ ask: 'truth', key });
      // The longer it takes, the more is invalidated meanwhile.
      for (let turn = pick(4); turn > 0; turn--) await ask({ ask: 'truth', key });
      return { key, version, filling: 'x'.repeat(pick(2_000)) };
    },
    { tags: [`tag:${key % tagCount}`] },
  );
  if (value.key !== key) return { level, fault: `key ${key} was given the value of key ${value.key}` };
  if (value.version >= confirmed) return { level };
  return { level, fault: `key ${key} at version ${value.version} (${level}) after ${confirmed} was confirmed` };
}

async function invalidate(): Promise<{ level: string }> {
  const kind = pick(20);
  const key = pick(keyCount);
  const all = Array.from({ length: keyCount }, (_, each) => each);
  const keys = kind === 0 ? all : kind < 6 ? all.filter((each) => each % tagCount === key % tagCount) : [key];
  const versions = await ask({ ask: 'change', keys });
  const told =
    kind === 0
      ? cache.clear()
      : kind < 6
        ? cache.invalidateTags([`tag:${key % tagCount}`])
        : kind < 10
          ? cache.expire(key)
          : cache.delete(key);
  const { deferred } = await told;
  if (!deferred) await ask({ ask: 'confirm', keys, versions });
  return { level: deferred ? 'deferred' : 'invalidated' };
}

async function work(): Promise<never> {
  for (;;) {
    const began = performance.now();
    const { level, fault } = { fault: undefined, ...(await (pick(12) === 0 ? invalidate() : read(pick(keyCount)))) };
    await ask({ ask: 'done', level, fault, ms: performance.now() - began });
  }
}

if (process.send) await Promise.all(Array.from({ length: 4 }, work));
