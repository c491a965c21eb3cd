import type { Task } from '#harness';

export const keyCount = 1_000;

/** The most entries of each cache: more than there are, since some keep their tags among them. */
export const room: number = 2 * keyCount;

/** Made beforehand, and the same for all sides: what is measured is the cache, not the making of its keys. */
export const questions: readonly string[] = Array.from({ length: keyCount }, (_, number) => `question-${number}`);

/** So many that no cache remembers one when its turn comes again. */
const strangers: readonly string[] = Array.from({ length: 200 * keyCount }, (_, number) => `stranger-${number}`);

/** About 250 bytes as JSON. */
export function answerTo(question: string): object {
  return {
    text: `On ${question}: a pool keeps its sockets open between requests, so that the second one need not dial again.`,
    citations: [
      { passage: 'pool.md#1', marker: 1 },
      { passage: 'pool.md#7', marker: 2 },
    ],
    reason: 'stop',
    tokens: { prompt: 1_214, answer: 31 },
  };
}

/** What a hit never calls. */
export function notAHit(): never {
  throw new Error('A benchmark of hits has missed');
}

/** Gets each of these once: measure it with their number as its units. */
export function walk<Asked>(asked: readonly Asked[], get: (one: Asked) => unknown): Task {
  return () => {
    for (const one of asked) if (get(one) === undefined) notAHit();
  };
}

/** The same for what has to be awaited, one after the other. */
export function awaitedWalk<Asked>(asked: readonly Asked[], get: (one: Asked) => Promise<unknown>): Task {
  return async () => {
    for (const one of asked) if ((await get(one)) === undefined) notAHit();
  };
}

/** Asks for as many keys that the cache does not have. */
export function walkAmongStrangers(get: (stranger: string) => Promise<unknown>): Task {
  let next = 0;
  return async () => {
    for (const stranger of strangers.slice(next, next + keyCount)) await get(stranger);
    next = (next + keyCount) % strangers.length;
  };
}
