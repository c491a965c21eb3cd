import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { redisLimits } from '@warmpath/core/redis';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import { ChargeLog } from '../packages/core/test/limiter-oracle.js';
import { type Charged, limits, places, windowMs } from './processes/limiter-worker.js';
import { type OwnRedis, startOwnRedis, until, whyNoOwnRedis } from './redis-servers.js';

const note = whyNoOwnRedis();
beforeEach(({ skip }) => skip(note !== undefined, note));

const file = fileURLToPath(new URL('processes/limiter-worker.ts', import.meta.url));
const processCount = 4;

async function own(): Promise<OwnRedis> {
  const redis = await startOwnRedis();
  onTestFinished(redis.kill);
  return redis;
}

function start(...args: readonly string[]): ChildProcess {
  const child = fork(file, args);
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

it('four processes under load never exceed a limit that they share, in any window, and use nearly all of it', async () => {
  const { url } = await own();
  const loadMs = 6_000;
  const answers = Array.from({ length: processCount }, async () => {
    const [charged] = await once(start(url, 'load', `${loadMs}`), 'message');
    return charged as readonly Charged[];
  });
  const charged = (await Promise.all(answers)).flat().toSorted((first, second) => first.at - second.at);
  const spanMs = (charged.at(-1)?.at ?? 0) - (charged[0]?.at ?? 0);
  expect(spanMs).toBeGreaterThan(loadMs / 2);
  const used = limits.map((dimension, index) => {
    const log = new ChargeLog();
    for (const { at, amounts } of charged) log.charge(amounts[index] ?? 0, at);
    const lengthMs = (index === 0 ? 1 : 3) * windowMs;
    expect(log.most(lengthMs)).toBeLessThanOrEqual(dimension.limit * (1 + 1e-9));
    return log.sum(() => true) / ((spanMs / lengthMs) * dimension.limit);
  });
  expect(Math.max(...used)).toBeGreaterThan(0.9);
});

it('a process that is killed with -9 gives its place back when its lease ends', async () => {
  const { url } = await own();
  const ttlMs = 1_500;
  const holders = Array.from({ length: 3 }, () => start(url, 'hold', `${ttlMs}`));
  const held = await Promise.all(holders.map(async (holder) => (await once(holder, 'message'))[0]));
  expect(held).toEqual([true, true, true]);
  const killed = performance.now();
  for (const holder of holders) holder.kill('SIGKILL');
  const store = redisLimits(url);
  onTestFinished(() => store.close());
  const account = { limiter: 'hold', key: 'all', dimensions: places, signal: new AbortController().signal };
  const take = () => store.take({ ...account, amounts: [1], lease: { id: 'next', ttlMs: 60_000 } });
  const { ok, waitMs } = await take();
  expect([ok, waitMs > 0, waitMs <= ttlMs]).toEqual([false, true, true]);
  await until('there is a place', async () => (await take()).ok);
  expect(performance.now() - killed).toBeLessThan(ttlMs + 1_000);
});
