import { randomUUID } from 'node:crypto';
import { seededRandom, systemClock, systemRandom } from '@warmpath/core/kernel';
import fc from 'fast-check';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { redisKeys } from '../packages/core/src/cache/stores/redis/redis-keys.js';
import * as scripts from '../packages/core/src/cache/stores/redis/scripts.js';
import { parseVersions } from '../packages/core/src/cache/stores/redis/versions.js';
import type { RedisPort, RedisValue, Script } from '../packages/core/src/kernel/index.js';
import { connectRedis } from '../packages/core/src/redis/connection/redis-client.js';
import { SimulatedClock } from '../packages/core/test/simulated-clock.js';
import { simulatedScripts } from '../packages/core/test/simulated-scripts.js';
import { SimulatedServer } from '../packages/core/test/simulated-server.js';
import { startOwnRedis, whyNoOwnRedis } from './redis-servers.js';

const redisUrl = inject('redisUrl');
const forever = new AbortController().signal;
/** Time stands still in the simulation, and goes on at the real one. */
const sameTtlMs = 30_000;

const keys = redisKeys(`wp-simulated-${randomUUID()}`, 'space');
const entries = ['a', 'b {é😀}'] as const;
const names = [
  keys.versions,
  ...entries.flatMap((of) => [keys.entry(of), keys.generation(of), keys.lease(of)]),
  ...['t', 'u'].map(keys.tag),
];

/** What the test itself says to Redis. */
const raw = (lua: string): Script => ({ name: 'raw', lua });
const writing = raw("redis.call('SET', KEYS[1], ARGV[1])");
const forgetting = raw("return redis.call('DEL', unpack(KEYS))");
const publishing = raw("return redis.call('PUBLISH', ARGV[1], ARGV[2])");
const readingTtls = raw("local a = {} for i, k in ipairs(KEYS) do a[i] = redis.call('PTTL', k) end return a");

interface Call {
  readonly script: Script;
  readonly keys: readonly string[];
  readonly args: readonly (string | Buffer)[];
}

const epoch = fc.constantFrom('epoch-1', 'epoch_2');
const token = fc.constantFrom('token-1', 'token:2');
const generation = fc.constantFrom('gen-0001', 'gen-0002', 'gen-0003');
const seq = fc.integer({ min: 8, max: 11 }).map(String);
const ttl = fc.constantFrom('600000', '60000000', '3600000000');
const record = fc
  .tuple(fc.constantFrom(0, 0, 1), generation, fc.uint8Array({ maxLength: 4 }))
  .map(([flags, gen, rest]) => Buffer.concat([Buffer.from(`WPR1${String.fromCharCode(flags)}\0\0\0${gen}`), rest]));
const versions = fc.tuple(epoch, seq, seq, seq, fc.constantFrom('', 'another-run'));
const lease = fc.tuple(epoch, seq, fc.constantFrom('0', '1'), token);
const garbage = fc.constantFrom(
  '',
  ':',
  'WPR1',
  'WPR1\x01ooogen-000',
  'WPR2\0\0\0\0gen-0001',
  'a:1:1:',
  '12x',
  'e:1:2:3:4:5',
);
const tags = fc.uniqueArray(fc.constantFrom('t', 'u'), { maxLength: 2 });

/** A call for one key or both, with a name of each by its kind, and arguments for each after those that are for all. */
function callForKeys(
  script: Script,
  kinds: readonly ('entry' | 'generation' | 'lease')[],
  shared: readonly fc.Arbitrary<string>[],
  own: (of: string) => readonly fc.Arbitrary<string | Buffer>[],
): fc.Arbitrary<Call> {
  return fc.uniqueArray(fc.constantFrom(...entries), { minLength: 1 }).chain((some) =>
    fc.tuple(...shared, ...some.flatMap(own)).map((args) => ({
      script,
      keys: some.flatMap((of) => kinds.map((kind) => keys[kind](of))),
      args,
    })),
  );
}

function write(name: fc.Arbitrary<string>, value: fc.Arbitrary<string | Buffer>): fc.Arbitrary<Call> {
  return fc.tuple(name, value).map(([key, arg]) => ({ script: writing, keys: [key], args: [arg] }));
}

const entry = fc.constantFrom(...entries);
const call: fc.Arbitrary<Call> = fc.oneof(
  { weight: 1, arbitrary: epoch.map((e) => ({ script: scripts.openScript, keys: [keys.versions], args: [e] })) },
  {
    weight: 1,
    arbitrary: epoch.map((e) => ({ script: scripts.restartScript, keys: [keys.versions], args: [e, 'not asked'] })),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      script: fc.constant(scripts.markTagsScript),
      keys: tags.map((of) => [keys.versions, ...of.map(keys.tag)]),
      args: fc.tuple(epoch, ttl),
    }),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(epoch, fc.constantFrom('me', 'you'), fc.constantFrom('delete', 'expire', 'tags', 'clear'), tags, ttl)
      .map(([e, publisher, type, of, ms]) => ({
        script: scripts.bumpScript,
        keys: [keys.versions, ...(type === 'tags' ? of.map(keys.tag) : [])],
        args: [e, keys.channel, publisher, type, JSON.stringify([...of, 'é😀\ud800']), ms],
      })),
  },
  {
    weight: 6,
    arbitrary: callForKeys(scripts.leaseScript, ['entry', 'generation', 'lease'], [token, epoch, seq, ttl, ttl], () => [
      fc.oneof(generation, fc.constant('')),
      seq,
      generation,
    ]),
  },
  {
    weight: 1,
    arbitrary: callForKeys(scripts.claimScript, ['entry', 'generation', 'lease'], [ttl], () => [generation]),
  },
  {
    weight: 3,
    arbitrary: callForKeys(scripts.commitScript, ['entry', 'generation'], [], () => [generation, ttl, record]),
  },
  { weight: 1, arbitrary: callForKeys(scripts.forgetScript, ['entry', 'generation', 'lease'], [], () => []) },
  { weight: 1, arbitrary: callForKeys(scripts.expireScript, ['entry', 'generation', 'lease'], [], () => [generation]) },
  { weight: 1, arbitrary: callForKeys(scripts.renewScript, ['lease', 'generation'], [token, ttl, ttl], () => []) },
  {
    weight: 2,
    arbitrary: callForKeys(scripts.releaseScript, ['lease'], [token, fc.constant(keys.channel)], (of) => [
      fc.constant(`${of}\ud800`),
    ]),
  },
  {
    weight: 1,
    arbitrary: write(
      fc.constant(keys.versions),
      versions.map((parts) => parts.join(':')),
    ),
  },
  { weight: 2, arbitrary: write(entry.map(keys.entry), record) },
  {
    weight: 1,
    arbitrary: write(
      entry.map(keys.lease),
      lease.map((parts) => parts.join(':')),
    ),
  },
  { weight: 2, arbitrary: write(fc.constantFrom(...names), garbage) },
);

function simulatedServer(runId: string): SimulatedServer {
  const clock = new SimulatedClock();
  const server = new SimulatedServer(clock, seededRandom(1));
  server.aheadMs = systemClock.wall() - clock.wall();
  server.runId = runId;
  return server;
}

/** The sequence goes on from the time of the server: the simulation takes over that of the real one. */
function skipAlike(server: SimulatedServer, ours: RedisValue, real: RedisValue): void {
  const [our, their] = [ours, real].map((answer) => (answer as readonly [Buffer, number])[0]);
  const [{ seq: ourSeq = 0, ...rest } = {}, { seq: theirSeq = 0, ...others } = {}] = [our, their].map(parseVersions);
  expect([rest, (ours as readonly RedisValue[])[1]]).toEqual([others, (real as readonly RedisValue[])[1]]);
  expect(Math.abs(ourSeq - theirSeq)).toBeLessThan(sameTtlMs * 1_000);
  if (their) server.keyspace.set(keys.versions, their);
}

/** Bytes as text, so that a difference can be read. */
function readable(value: RedisValue): unknown {
  if (Buffer.isBuffer(value)) return value.toString('latin1');
  return typeof value === 'object' && value !== null ? (value as readonly RedisValue[]).map(readable) : value;
}

async function connect(url: string): Promise<{ port: RedisPort; runId: string }> {
  const port = connectRedis('the test', url, { clock: systemClock, random: systemRandom });
  onTestFinished(() => port.close());
  const runId = new Promise<string>((resolve) => port.onServer(async (run) => resolve(run)));
  await port.getMany(['any'], forever);
  return { port, runId: await runId };
}

/** @returns what is published from one call of it to the next, which says so itself */
async function listen(port: RedisPort): Promise<() => Promise<readonly string[]>> {
  let texts: string[] = [];
  let end = Promise.withResolvers<void>();
  const subscribed = Promise.withResolvers<void>();
  port.subscribe(keys.channel, {
    onMessage: (text) => (text === 'end' ? end.resolve() : texts.push(text)),
    onSubscribed: subscribed.resolve,
    onLost: () => {},
  });
  await subscribed.promise;
  return async () => {
    await port.run(publishing, [keys.versions], [keys.channel, 'end'], forever);
    await end.promise;
    const heard = texts;
    texts = [];
    end = Promise.withResolvers();
    return heard;
  };
}

it('simulates every script', () => {
  const all = Object.values(scripts).map(({ name }) => name);
  expect(all.sort()).toEqual(Object.keys(simulatedScripts).sort());
});

describe('the simulated Redis and a real one', () => {
  it('answer alike, whatever they are asked in whichever order', async ({ skip }) => {
    if (!redisUrl) return skip('there is no Redis');
    const { port, runId } = await connect(redisUrl);
    const published = await listen(port);
    const property = fc.asyncProperty(fc.array(call, { maxLength: 60, size: 'max' }), async (calls) => {
      await port.run(forgetting, names, [], forever);
      await published();
      const server = simulatedServer(runId);
      const heard: string[] = [];
      server.subscribe(keys.channel, (text) => void heard.push(text));
      for (const { script, keys: some, args } of calls) {
        const real = await port.run(script, some, args, forever);
        if (script === writing) server.keyspace.set(some[0] ?? '', Buffer.from(args[0] ?? ''));
        else if (script === scripts.restartScript) skipAlike(server, server.run(script, some, args), real);
        else expect(readable(server.run(script, some, args)), script.name).toEqual(readable(real));
      }
      expect(readable(names.map((name) => server.get(name)))).toEqual(readable(await port.getMany(names, forever)));
      const ttls = (await port.run(readingTtls, names, [], forever)) as readonly number[];
      for (const [index, name] of names.entries()) {
        const [real = 0, ours] = [ttls[index], server.keyspace.ttlMs(name)];
        if (ours < 0 || real < 0) expect(ours, name).toBe(real);
        else expect(Math.abs(ours - real), name).toBeLessThan(sameTtlMs);
      }
      expect(heard).toEqual(await published());
    });
    await fc.assert(property, { numRuns: 500 });
    await port.run(forgetting, names, [], forever);
  });

  it('refuse the same when their memory is full', async ({ skip }) => {
    const why = whyNoOwnRedis();
    skip(why !== undefined, why);
    const redis = await startOwnRedis();
    onTestFinished(redis.kill);
    const { port, runId } = await connect(redis.url);
    // As in life, a server knows the scripts before it is full.
    for (const { lua } of Object.values(scripts)) await redis.command('SCRIPT', 'LOAD', lua);
    await redis.configure({ maxmemory: 1, 'maxmemory-policy': 'noeviction' });
    const server = simulatedServer(runId);
    server.isFull = true;
    const refusal = (error: unknown): string => String(error).replace(/^.*OOM.*$/, 'OOM');
    for (const { script, keys: some, args } of fc.sample(call, { numRuns: 300, seed: 1 })) {
      if (script === writing) continue;
      if (script === scripts.restartScript) {
        skipAlike(server, server.run(script, some, args), await port.run(script, some, args, forever));
        continue;
      }
      const real = await port.run(script, some, args, forever).then(readable, refusal);
      const ours = await Promise.resolve()
        .then(() => server.run(script, some, args))
        .then(readable, refusal);
      expect(ours, script.name).toEqual(real);
    }
  });
});
