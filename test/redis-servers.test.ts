import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { root, runProgram } from './house/project.js';
import { startRedisCluster } from './redis-cluster.js';
import { startSentinelPair } from './redis-sentinel.js';
import { type OwnRedis, startOwnRedis, whyNoOwnRedis } from './redis-servers.js';
import { redisBinary } from './services.js';

const note = whyNoOwnRedis();
beforeEach(({ skip }) => skip(note !== undefined, note));

describe('a Redis of a test', () => {
  async function own(): Promise<OwnRedis> {
    const redis = await startOwnRedis();
    onTestFinished(redis.kill);
    return redis;
  }

  it('comes back on its port, empty or with what it held', async () => {
    const redis = await own();
    await redis.command('SET', 'key', 'old');
    const snapshot = await redis.save();
    await redis.command('SET', 'key', 'new');
    await redis.kill();
    await expect(redis.command('PING')).rejects.toThrow('ECONNREFUSED');
    await redis.restart(snapshot);
    expect(await redis.command('GET', 'key')).toBe('old');
    await redis.restart();
    expect(await redis.command('GET', 'key')).toBeNull();
  });

  it('answers nothing while it is frozen, and what it was asked when it is thawed', async () => {
    const redis = await own();
    redis.freeze();
    const answer = redis.command('PING');
    const quiet = new Promise((resolve) => setTimeout(() => resolve('nothing'), 50));
    expect(await Promise.race([answer, quiet])).toBe('nothing');
    redis.thaw();
    expect(await answer).toBe('PONG');
  });

  it('can be full', async () => {
    const redis = await own();
    await redis.configure({ maxmemory: 1, 'maxmemory-policy': 'noeviction' });
    await expect(redis.command('SET', 'key', 'value')).rejects.toThrow('OOM');
    expect((await redis.info()).get('maxmemory_policy')).toBe('noeviction');
  });

  it('dies with the process that started it, also when both are stopped in the middle', async () => {
    const services = pathToFileURL(join(root, 'test/services.ts')).href;
    const program = `
      const { startRedis } = await import(${JSON.stringify(services)});
      const { pid, folder } = await startRedis(${JSON.stringify(redisBinary())});
      process.kill(pid, 'SIGSTOP');
      process.stdout.write(JSON.stringify({ pid, folder }), () => process.kill(process.pid, 'SIGKILL'));`;
    const { stdout } = await runProgram('sh', ['-c', '"$@"; exit 0', 'sh', process.execPath, '--eval', program]);
    const { pid, folder } = JSON.parse(stdout) as { pid: number; folder: string };
    const lives = (): boolean => {
      try {
        return process.kill(pid, 0);
      } catch {
        return false;
      }
    };
    await expect.poll(() => [lives(), existsSync(folder)]).toEqual([false, false]);
  });
});

it.each(['kill', 'freeze', 'order'] as const)('a Sentinel has the replica take over after a %s', async (how) => {
  const pair = await startSentinelPair();
  onTestFinished(pair.stop);
  await pair.first.command('SET', 'key', 'replicated');
  await expect.poll(() => pair.second.command('GET', 'key')).toBe('replicated');
  const next = await pair.failOver(how);
  expect(next).toBe(pair.second);
  expect(await next.command('GET', 'key')).toBe('replicated');
  await next.command('SET', 'key', 'written');
});

it('a cluster of three shares the keys, and a node that restarts knows its slots', async () => {
  const cluster = await startRedisCluster();
  onTestFinished(cluster.stop);
  const keys = ['a', 'b', 'c', 'd', 'e', 'f'];
  const owners = await Promise.all(keys.map((key) => cluster.nodeOf(key)));
  expect(new Set(owners).size).toBe(3);
  for (const [index, key] of keys.entries()) await owners[index]?.command('SET', key, 'here');
  const [owner] = owners;
  const other = cluster.nodes.find((node) => node !== owner);
  await expect(other?.command('GET', 'a')).rejects.toThrow(`MOVED 15495 127.0.0.1:${owner?.port}`);
  await owner?.restart();
  await expect.poll(() => owner?.command('GET', 'a').catch(String), { timeout: 10_000 }).toBeNull();
});
