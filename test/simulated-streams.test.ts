import { randomUUID } from 'node:crypto';
import { seededRandom, systemClock, systemRandom } from '@warmpath/core/kernel';
import fc from 'fast-check';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { redisKeys } from '../packages/core/src/cache/stores/redis/redis-keys.js';
import { appendScript, followScript, holderScript } from '../packages/core/src/cache/stores/redis/stream-scripts.js';
import type { RedisPort, RedisValue, Script } from '../packages/core/src/kernel/index.js';
import { connectRedis } from '../packages/core/src/redis/connection/redis-client.js';
import { SimulatedClock } from '../packages/core/test/simulated-clock.js';
import { SimulatedServer } from '../packages/core/test/simulated-server.js';

const redisUrl = inject('redisUrl');
const forever = new AbortController().signal;
/** Time stands still in the simulation, and goes on at the real one. */
const sameTtlMs = 30_000;

const keys = redisKeys(`wp-streams-${randomUUID()}`, 'space');
const runs = ['run-1', 'run:2'] as const;
const key = 'b {é😀}';
const lease = keys.lease(key);
const namesOf = (run: string): string[] => [keys.log(key, run), keys.followed(key, run)];
const names = [lease, ...runs.flatMap(namesOf)];

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

const ttl = fc.constantFrom('600000', '60000000', '3600000000');
const position = fc.integer({ min: 0, max: 6 }).map(String);
const piece = fc.tuple(
  fc.integer({ min: 1, max: 6 }).map(String),
  fc.constantFrom('0', '0', '0', '0', '1'),
  fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes)),
);
const run = fc.constantFrom(...runs);

const call: fc.Arbitrary<Call> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(run, position, ttl, fc.array(piece, { maxLength: 3 })).map(([of, from, ms, pieces]) => ({
      script: appendScript,
      keys: namesOf(of),
      args: [from, ms, keys.channel, key, ...pieces.toSorted(([a], [b]) => Number(a) - Number(b)).flat()],
    })),
  },
  {
    weight: 5,
    arbitrary: fc.tuple(run, position, fc.constantFrom('0', '1', '9'), ttl).map(([of, from, most, ms]) => ({
      script: followScript,
      keys: namesOf(of),
      args: [from, most, ms, keys.channel, key],
    })),
  },
  { weight: 1, arbitrary: fc.constant({ script: holderScript, keys: [lease], args: [] }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('', ':', 'epoch:12:0:token', 'epoch:12:1:a:b\nc', 'epoch:12:2:token').map((text) => ({
      script: writing,
      keys: [lease],
      args: [text],
    })),
  },
  { weight: 1, arbitrary: run.map((of) => ({ script: writing, keys: namesOf(of).slice(0, 1), args: ['garbage'] })) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(...names).map((name) => ({ script: forgetting, keys: [name], args: [] })),
  },
);

/** Bytes as text, so that a difference can be read. */
function readable(value: RedisValue): unknown {
  if (Buffer.isBuffer(value)) return value.toString('latin1');
  return typeof value === 'object' && value !== null ? (value as readonly RedisValue[]).map(readable) : value;
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

describe('the streams of the simulated Redis and of a real one', () => {
  it('answer alike, whatever they are asked in whichever order', async ({ skip }) => {
    if (!redisUrl) return skip('there is no Redis');
    const port = connectRedis('the test', redisUrl, { clock: systemClock, random: systemRandom });
    onTestFinished(() => port.close());
    const published = await listen(port);
    const property = fc.asyncProperty(fc.array(call, { maxLength: 40, size: 'max' }), async (calls) => {
      await port.run(forgetting, names, [], forever);
      await published();
      const server = new SimulatedServer(new SimulatedClock(), seededRandom(1));
      const heard: string[] = [];
      server.subscribe(keys.channel, (text) => void heard.push(text));
      for (const { script, keys: some, args } of calls) {
        const real = await port.run(script, some, args, forever);
        if (script === writing) server.keyspace.set(some[0] ?? '', Buffer.from(args[0] ?? ''));
        else if (script === forgetting) server.keyspace.remove(some[0] ?? '');
        else expect(readable(server.run(script, some, args)), script.name).toEqual(readable(real));
      }
      const ttls = (await port.run(readingTtls, names, [], forever)) as readonly number[];
      for (const [index, name] of names.entries()) {
        const [real = 0, ours] = [ttls[index], server.keyspace.ttlMs(name)];
        if (ours < 0 || real < 0) expect(ours, name).toBe(real);
        else expect(Math.abs(ours - real), name).toBeLessThan(sameTtlMs);
      }
      expect(heard).toEqual(await published());
    });
    await fc.assert(property, { numRuns: 400 });
    await port.run(forgetting, names, [], forever);
  });
});
