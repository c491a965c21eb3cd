import { beforeEach, expect, it, onTestFinished } from 'vitest';
import { redisKeys } from '../packages/core/src/cache/stores/redis/redis-keys.js';
import { has, namespace, open, remove, set, works } from './redis-calls.js';
import { startRedisCluster } from './redis-cluster.js';
import { startSentinelPair } from './redis-sentinel.js';
import { until, whyNoOwnRedis } from './redis-servers.js';

const note = whyNoOwnRedis();
beforeEach(({ skip }) => skip(note !== undefined, note));

it('follows a Sentinel to the next master, whether the old one is dead or deposed', async () => {
  const pair = await startSentinelPair();
  onTestFinished(pair.stop);
  const store = open({ name: pair.name, sentinelRootNodes: [{ host: '127.0.0.1', port: pair.sentinel.port }] });
  await set(store, 'key');
  await remove(store, 'key');
  await pair.failOver('order');
  await until('the store has followed', async () => {
    await set(store, 'after order');
    return (await pair.second.command('EXISTS', redisKeys('wp', namespace).entry('after order'))) === 1;
  });
  expect(await has(store, 'key', 'after order')).toEqual([false, true]);
  await until(
    'the old master follows the new one',
    async () => (await pair.first.info()).get('master_link_status') === 'up',
  );
  await pair.failOver('kill');
  await works(store);
  await set(store, 'after death');
  expect(await has(store, 'key', 'after death')).toEqual([false, true]);
});

it('finds a slot that moves in a cluster, and goes on without a node that is gone', async () => {
  const cluster = await startRedisCluster({ 'cluster-require-full-coverage': 'no' });
  onTestFinished(cluster.stop);
  const [root] = cluster.urls;
  const store = open({ rootNodes: [{ url: root ?? '' }] });
  const names = redisKeys('wp', namespace);
  const keys = Array.from({ length: 30 }, (_, index) => `key ${index}`);
  for (const key of keys) await set(store, key);
  expect(await has(store, ...keys)).toEqual(keys.map(() => true));

  const shared = await cluster.nodeOf(names.versions);
  const [moving = ''] = keys;
  const from = await cluster.nodeOf(names.entry(moving));
  const to = cluster.nodes.find((node) => node !== from) ?? from;
  const slot = String(await from.command('CLUSTER', 'KEYSLOT', names.entry(moving)));
  const [fromId, toId] = await Promise.all(
    [from, to].map(async (node) => String(await node.command('CLUSTER', 'MYID'))),
  );
  await to.command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId ?? '');
  await from.command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId ?? '');
  await from.command('MIGRATE', '127.0.0.1', String(to.port), names.entry(moving), '0', '5000');
  expect(await has(store, moving)).toEqual([true]); // ASK
  // What takes several keys at once has to wait, since the server does.
  await expect(remove(store, moving)).rejects.toThrow('TRYAGAIN');
  for (const node of [to, from]) await node.command('CLUSTER', 'SETSLOT', slot, 'NODE', toId ?? '');
  expect(await has(store, moving)).toEqual([true]); // MOVED
  await remove(store, moving);
  expect(await has(store, moving)).toEqual([false]);

  const victim = cluster.nodes.find((node) => node !== shared && node !== to) ?? expect.unreachable();
  const left = [];
  for (const key of keys) {
    const node = key === moving ? to : await cluster.nodeOf(names.entry(key));
    if (node !== victim && key !== moving) left.push(key);
  }
  await victim.kill();
  await until('it is noticed', async () => {
    const outcomes = await Promise.allSettled(keys.map((key) => has(store, key)));
    return outcomes.filter(({ status }) => status === 'rejected').length > 0;
  });
  expect(await has(store, ...left)).toEqual(left.map(() => true));
  await victim.restart();
  await until('all of them answer', async () => (await has(store, ...keys)).length === keys.length);
  expect(await has(store, ...left)).toEqual(left.map(() => true));
});
