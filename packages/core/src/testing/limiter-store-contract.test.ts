import { describe, expect, it } from 'vitest';
import type { LimiterStore } from '../limiter/index.js';
import { createFakeClock, limiterStoreContract, type MemoryLimits, memoryLimits } from './index.js';

/** On a clock that moves when it is told to; each of a pair is broken alike. */
function casesOf(breakIt: (store: MemoryLimits) => Partial<LimiterStore> = () => ({})) {
  let clock = createFakeClock();
  let last = memoryLimits({ clock });
  const fresh = (): MemoryLimits => {
    clock = createFakeClock();
    last = memoryLimits({ clock });
    return last;
  };
  const broken = (store: MemoryLimits): LimiterStore => ({ ...bound(store), ...breakIt(store) });
  return limiterStoreContract(() => broken(fresh()), {
    pass: (ms) => clock.advance(ms),
    makePair: () => [broken(fresh()), broken(last.peer())],
    lose: () => last.lose(),
  });
}

function bound(store: MemoryLimits): LimiterStore {
  return {
    name: store.name,
    takesMore: true,
    take: (request) => store.take(request),
    settle: (request) => store.settle(request),
    extend: (request) => store.extend(request),
    peers: (signal) => store.peers(signal),
    close: () => store.close(),
  };
}

async function failures(breakIt: (store: MemoryLimits) => Partial<LimiterStore>): Promise<string[]> {
  const failed: string[] = [];
  for (const { name, run } of casesOf(breakIt)) await run().catch(() => failed.push(name));
  return failed;
}

describe('the contract, kept by memoryLimits', () => {
  for (const { name, run } of casesOf()) it(name, run);
});

describe('the contract itself', () => {
  it('has one name for each case', () => {
    const names = casesOf().map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  it.each<[string, (store: MemoryLimits) => Partial<LimiterStore>, string]>([
    [
      'never refuses',
      (store) => ({ take: async (request) => ({ ...(await store.take(request)), ok: true, waitMs: 0 }) }),
      'takes all of the limit, and not a unit more',
    ],
    [
      'has one account for all keys',
      (store) => ({ take: (request) => store.take({ ...request, key: 'one' }) }),
      'keeps limiters and keys apart, whatever their names',
    ],
    [
      'has one account for all limiters',
      (store) => ({ take: (request) => store.take({ ...request, limiter: 'one' }) }),
      'keeps limiters and keys apart, whatever their names',
    ],
    [
      'begins anew with each limit',
      (store) => ({
        take: (request) => store.take({ ...request, key: `${request.key} ${request.dimensions[0]?.limit}` }),
      }),
      'begins anew for dimensions that count otherwise, and not for limits that have changed',
    ],
    [
      'charges what it refuses',
      (store) => ({ take: (request) => store.take({ ...request, penalise: true }) }),
      'charges all dimensions or none, and names the one that binds',
    ],
    [
      'never charges what it refuses',
      (store) => ({ take: (request) => store.take({ ...request, penalise: false }) }),
      'charges what it refuses, but no place, where that is asked for',
    ],
    [
      'knows no further ones, though it claims to',
      (store) => ({ take: ({ more: _, ...request }) => store.take(request) }),
      'decides further ones one by one, where it claims to',
    ],
    [
      'decides further ones all or nothing',
      (store) => ({
        take: async ({ more = [], ...request }) => {
          const sum = request.amounts.map((amount, index) =>
            more.reduce((all, each) => all + (each[index] ?? 0), amount),
          );
          const verdict = await store.take({ ...request, amounts: sum });
          return { ...verdict, more: more.map(() => verdict) };
        },
      }),
      'decides further ones one by one, where it claims to',
    ],
    [
      'charges a debt with each of the further ones',
      (store) => ({
        take: async ({ more = [], ...request }) => {
          const verdict = await store.take(request);
          const others = [];
          for (const amounts of more) others.push(await store.take({ ...request, amounts }));
          return { ...verdict, more: others };
        },
      }),
      'charges a debt once and first, and goes by the limits, for further ones too, where it claims to',
    ],
    [
      'forgets debts',
      (store) => ({ take: ({ debt: _, ...request }) => store.take(request) }),
      'charges a debt first, above the limit if need be',
    ],
    [
      'does not know other limits than its own',
      (store) => ({ take: ({ limits: _, ...request }) => store.take(request) }),
      'goes by the limits that are asked with',
    ],
    [
      'settles nothing',
      () => ({ settle: async () => {} }),
      'gives back what was charged too much, and charges what was too little',
    ],
    [
      'gives back what is no more there',
      (store) => ({
        settle: async (request) => {
          const { generation, at } = await store.take({ ...request, amounts: request.corrections.map(() => 0) });
          await store.settle({ ...request, generation, at });
        },
      }),
      'gives nothing back of another generation',
    ],
    [
      'loses what is told of losses',
      (store) => ({ take: ({ own: _, ...request }) => store.take(request) }),
      'is told once by each process what it has lost',
    ],
    [
      'is told of losses again and again',
      (store) => ({
        take: async ({ own, ...request }) => {
          const { generation } = await store.take({ ...request, amounts: request.amounts.map(() => 0) });
          return store.take({ ...request, ...(own && own.generation !== generation && { debt: own.amounts }) });
        },
      }),
      'is told once by each process what it has lost',
    ],
    [
      'never ends a lease',
      (store) => ({
        take: ({ lease, ...request }) => store.take({ ...request, ...(lease && { lease: { ...lease, ttlMs: 1e9 } }) }),
      }),
      'has a place back when its lease expires, unless it is extended',
    ],
    [
      'extends everything',
      () => ({ extend: async () => true }),
      'has a place back when its lease expires, unless it is extended',
    ],
    [
      'gives places to whoever asks',
      (store) => ({ take: ({ lease: _, ...request }) => store.take(request) }),
      'has so many places, and one more when one is given back',
    ],
    ['counts itself alone', () => ({ peers: async () => 1 }), 'counts who says that it is alive'],
  ])('catches a store that %s', async (_, breakIt, failed) => {
    expect(await failures(breakIt)).toContain(failed);
  });
});
