import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { createClient, type RedisClientType } from '@redis/client';
import { type Cache, createCache, type StoredEntry } from '@warmpath/core/cache';
import { digestKey } from '@warmpath/core/kernel';
import { type RedisStore, redisStore } from '@warmpath/core/redis';
import { BentoCache, bentostore } from 'bentocache';
import { redisDriver } from 'bentocache/drivers/redis';
import { type Contest, type Measured, measure, type Outcome, printTable, ratiosOf, rounded } from '#harness';
import { type BenchRedis, startBenchRedis } from '#redis-server';

const entryCount = 1_000;
const valueBytes = 1_000;
/** So many are asked for at once: what a busy process has under way. */
const atOnce = 100;

/** What does the shared tier cost beside a bare client and a peer, and how soon does everybody know? */
export async function sharedCache(): Promise<Outcome> {
  const redis = await startBenchRedis();
  if (!redis) {
    console.log('Skipped: there is no redis-server on the path. On Debian: apt-get install redis-server.');
    return { ratios: {}, values: {} };
  }
  try {
    const reads = await readsBesideClient(redis);
    console.log();
    const joins = await joinsOfOneStream();
    console.log();
    const seen = await invalidationsSeen(redis);
    return { ratios: reads.ratios, values: { ...reads.values, ...joins, ...seen } };
  } finally {
    redis.stop();
  }
}

async function readsBesideClient(redis: BenchRedis): Promise<Outcome> {
  const client: RedisClientType = createClient({ url: redis.url });
  await client.connect();
  const store = redisStore(client);
  const ours = createCache({ name: 'answers', store: redisStore(redis.url), maxEntries: 1, storeTimeout: '5s' });
  const bento = bentoOver(redis);
  try {
    const contests = await contestsOf({ client, store, ours, bento });
    const measured: Measured[] = [];
    for (const contest of contests) measured.push(await measure(contest));
    console.log(`Entries of ${valueBytes} bytes in a real Redis, ${atOnce} asked for at once, time on the wall`);
    printTable(measured);
    const values = Object.fromEntries(
      measured.map(({ name, oursNs }) => [`${name.replace(/\/.*/, '')}.us`, rounded(oursNs / 1_000)]),
    );
    return { ratios: ratiosOf(measured), values };
  } finally {
    await Promise.all([store.close(), ours.close(), bento.disconnectAll(), client.close()]);
  }
}

/** Without a memory of its own, so that each read goes to Redis, like ours. */
function bentoOver({ port }: BenchRedis) {
  const redis = bentostore().useL2Layer(redisDriver({ connection: { host: '127.0.0.1', port } }));
  return new BentoCache({ default: 'redis', ttl: 3_600_000, stores: { redis } });
}

interface Sides {
  readonly client: RedisClientType;
  readonly store: RedisStore;
  readonly ours: Cache;
  readonly bento: ReturnType<typeof bentoOver>;
}

async function contestsOf({ client, store, ours, bento }: Sides): Promise<readonly Contest[]> {
  const { signal } = new AbortController();
  const keys = Array.from({ length: entryCount }, (_, index) => digestKey(`question ${index}`));
  const text = 'An answer of some length. '.repeat(valueBytes / 26);
  const entries = keys.map((key) => ({ key, entry: entryOf(Buffer.from(text)), fence: undefined }));
  await store.setMany({ namespace: 'bare', entries, signal });
  for (const key of keys) await client.set(key, text);
  await ours.setMany(keys.map((key) => [key, { text }]));
  for (const key of keys) await bento.set({ key, value: { text } });
  let at = 0;
  const some = (): readonly string[] => {
    at = (at + atOnce) % entryCount;
    return keys.slice(at, at + atOnce);
  };
  const inBytes = client.withTypeMapping({ 36: Buffer });
  const fail = (): never => {
    throw new Error('A benchmark of hits has missed');
  };
  const by = 'wall' as const;
  return [
    {
      name: 'redis.get/client.get',
      ours: () => Promise.all(some().map((key) => store.getMany({ namespace: 'bare', keys: [key], tags: [], signal }))),
      peer: () => Promise.all(some().map((key) => inBytes.get(key))),
      units: atOnce,
      by,
    },
    {
      name: 'redis.getMany100/client.mget100',
      ours: () => store.getMany({ namespace: 'bare', keys: some(), tags: [], signal }),
      peer: () => inBytes.mGet([...some()]),
      by,
    },
    {
      name: 'redis.getOrSet/bentocache.redis',
      ours: () => Promise.all(some().map((key) => ours.getOrSet(key, fail))),
      peer: () => Promise.all(some().map((key) => bento.getOrSet({ key, factory: fail }))),
      units: atOnce,
      by,
    },
  ];
}

function entryOf(bytes: Uint8Array): StoredEntry {
  const storedAt = Date.now();
  return { bytes, storedAt, freshUntil: storedAt + 3.6e6, keptUntil: storedAt + 3.6e6, computeMs: 1_000, tags: [] };
}

const joiners = 1_000;

/** One stream of a model that takes 2 ms a chunk, and joiners who come while it runs. */
async function joinsOfOneStream(): Promise<Record<string, number>> {
  const cache = createCache({ name: 'streams' });
  let upstreamCalls = 0;
  async function* produce(): AsyncGenerator<string> {
    upstreamCalls++;
    for (let chunk = 0; chunk < 500; chunk++) {
      await new Promise((resolve) => setTimeout(resolve, 2));
      yield `token ${chunk} `;
    }
  }
  const read = async (): Promise<number> => {
    const askedAt = performance.now();
    const { chunks } = await cache.stream('question', produce);
    let firstMs: number | undefined;
    for await (const _ of chunks) firstMs ??= performance.now() - askedAt;
    return firstMs ?? Number.NaN;
  };
  const leader = read();
  await new Promise((resolve) => setTimeout(resolve, 20));
  const firsts: Promise<number>[] = [];
  for (let joiner = 0; joiner < joiners; joiner++) {
    firsts.push(read());
    if (joiner % 5 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await leader;
  const sorted = (await Promise.all(firsts)).toSorted((left, right) => left - right);
  const firstChunkMs = sorted[joiners >> 1] ?? Number.NaN;
  console.log(`${joiners} joiners of one stream (its model is simulated: 500 chunks, 2 ms apart)`);
  console.log(`first chunk after ${firstChunkMs.toFixed(3)} ms (median), ${upstreamCalls} upstream call(s)`);
  return { 'joiner.firstChunkMs': rounded(firstChunkMs), 'joiner.upstreamCalls': upstreamCalls };
}

const processes = 4;
const invalidations = 500;

/** How long after an invalidation was called for in one process the memory of the others does not serve the value any more. */
async function invalidationsSeen(redis: BenchRedis): Promise<Record<string, number>> {
  const file = fileURLToPath(new URL('shared-cache-worker.ts', import.meta.url));
  const workers = Array.from({ length: processes - 1 }, () => fork(file, [redis.url]));
  const cache = createCache({ name: 'news', store: redisStore(redis.url), storeTimeout: '5s' });
  try {
    await Promise.all(workers.map((worker) => heard(worker, 'ready')));
    const lags: number[] = [];
    for (let turn = 0; turn < invalidations; turn++) {
      await cache.set('key', turn);
      for (const worker of workers) worker.send('watch');
      await Promise.all(workers.map((worker) => heard(worker, 'watching')));
      const gone = workers.map((worker) => heard(worker, 'gone'));
      const calledAt = process.hrtime.bigint();
      const done = cache.delete('key');
      for (const { at } of await Promise.all(gone)) lags.push(Number(BigInt(at ?? 0) - calledAt) / 1e6);
      await done;
    }
    const sorted = lags.toSorted((left, right) => left - right);
    const [median = Number.NaN, p99 = Number.NaN] = [0.5, 0.99].map(
      (share) => sorted[Math.floor(sorted.length * share)],
    );
    console.log(
      `${invalidations} invalidations in one of ${processes} processes, as the memory of the others sees them`,
    );
    console.log(`seen after ${median.toFixed(2)} ms (median), ${p99.toFixed(2)} ms (p99)`);
    return { 'invalidation.seenMs': rounded(median), 'invalidation.seenMsP99': rounded(p99) };
  } finally {
    for (const worker of workers) worker.kill();
    await cache.close();
  }
}

interface Word {
  readonly say: string;
  readonly at?: string;
}

function heard(worker: ChildProcess, say: string): Promise<Word> {
  return new Promise((resolve) => {
    const listen = (word: Word): void => {
      if (word.say !== say) return;
      worker.off('message', listen);
      resolve(word);
    };
    worker.on('message', listen);
  });
}
