import { type ChildProcess, fork } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { Answer, Said, Task, WorkerOptions } from './processes/shared-cache-worker.js';
import { startRedisCluster } from './redis-cluster.js';
import { startSentinelPair } from './redis-sentinel.js';
import { startOwnRedis, whyNoOwnRedis } from './redis-servers.js';
import { startTcpProxy } from './tcp-proxy.js';

const workerFile = fileURLToPath(new URL('processes/shared-cache-worker.ts', import.meta.url));
const note = whyNoOwnRedis();
const processCount = 4;
const leaseTtlMs = 1_000;

beforeEach(({ skip }) => skip(note !== undefined, note));

/** Another process. */
class Worker {
  readonly #child: ChildProcess;
  readonly #ready = Promise.withResolvers<void>();
  readonly #answers = new Map<number, (answer: Answer) => void>();
  #tasks = 0;

  constructor(connection: WorkerOptions['connection'], onComputing: (by: Worker, keys: readonly string[]) => void) {
    const options: WorkerOptions = { connection, leaseTtl: `${leaseTtlMs}ms` };
    this.#child = fork(workerFile, [JSON.stringify(options)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    this.#child.on('message', (said: Said) => {
      if (said.says === 'ready') this.#ready.resolve();
      else if (said.says === 'computing') onComputing(this, said.keys);
      else this.#answers.get(said.id)?.(said.answer);
    });
  }

  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Never resolves when the process dies. */
  tell(task: Task): Promise<Answer> {
    const id = ++this.#tasks;
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#answers.set(id, resolve);
    this.#child.send({ id, task });
    return promise;
  }

  async kill(): Promise<void> {
    if (!this.isAlive) return;
    const exit = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await exit;
  }
}

/** Some processes, and what they have told of their computations. */
class Team {
  readonly workers: readonly Worker[];
  readonly #computed = new Map<string, number>();
  #onComputing: (by: Worker) => void = () => {};

  constructor(connections: readonly WorkerOptions['connection'][]) {
    this.workers = connections.map(
      (connection) =>
        new Worker(connection, (by, keys) => {
          for (const key of keys) this.#computed.set(key, this.countOf(key) + 1);
          this.#onComputing(by);
        }),
    );
  }

  async ready(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.ready));
  }

  /** Who computes next. */
  next(): Promise<Worker> {
    return new Promise((resolve) => {
      this.#onComputing = resolve;
    });
  }

  tellAll(task: Task): Promise<Answer[]> {
    return Promise.all(this.workers.map((worker) => worker.tell(task)));
  }

  /** How often a key was computed. */
  countOf(key: string): number {
    return this.#computed.get(key) ?? 0;
  }

  async stop(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.kill()));
  }
}

interface Place {
  readonly connection: WorkerOptions['connection'];
  stop(): Promise<unknown>;
}

const places: Record<string, () => Promise<Place>> = {
  'one server': async () => {
    const redis = await startOwnRedis();
    return { connection: redis.url, stop: () => redis.kill() };
  },
  'a Sentinel': async () => {
    const pair = await startSentinelPair();
    const sentinels = [{ host: '127.0.0.1', port: pair.sentinel.port }];
    return { connection: { name: pair.name, sentinelRootNodes: sentinels }, stop: () => pair.stop() };
  },
  'a cluster of three': async () => {
    const cluster = await startRedisCluster();
    return { connection: { rootNodes: cluster.urls.map((url) => ({ url })) }, stop: () => cluster.stop() };
  },
};

describe.each(Object.entries(places))('four processes on %s', (name, start) => {
  let place: Place;
  let team: Team;
  beforeAll(async () => {
    if (note) return;
    place = await start();
    team = new Team(Array.from({ length: processCount }, () => place.connection));
    await team.ready();
  });
  afterAll(async () => {
    await team?.stop();
    await place?.stop();
  });

  it('compute a key once for 400 calls', async () => {
    const answers = await team.tellAll({ do: 'getOrSet', key: 'calm', times: 100, computeMs: 200 });
    expect(team.countOf('calm')).toBe(1);
    expect(distinct(answers)).toHaveLength(1);
  });

  it('compute each of 50 keys once, whichever they begin with', async () => {
    const keys = Array.from({ length: 50 }, (_, index) => `many ${index}`);
    const answers = await Promise.all(
      team.workers.map((worker, index) => {
        const turned = [...keys.slice(index * 12), ...keys.slice(0, index * 12)];
        return worker.tell({ do: 'getOrSetMany', keys: turned, computeMs: 100 });
      }),
    );
    expect(keys.filter((key) => team.countOf(key) !== 1)).toEqual([]);
    expect(distinct(answers)).toHaveLength(50);
  });

  it('see a value that one of them sets', async () => {
    const [first, ...others] = team.workers;
    await team.tellAll({ do: 'getOrSet', key: 'set', times: 1, computeMs: 0 });
    const watching = others.map((worker) => worker.tell({ do: 'watch', keys: ['set'] }));
    await pause(50); // all of them look
    const set = await first?.tell({ do: 'set', key: 'set', value: 'by hand' });
    const seen = await Promise.all(watching);
    const lateMs = seen.map(({ at }) => (at[0] ?? Number.NaN) - (set?.at[0] ?? Number.NaN));
    console.log(`${name}: a value that was set was seen after ${lateMs.map((ms) => ms.toFixed(1)).join(', ')} ms`);
    const answers = await team.tellAll({ do: 'getOrSet', key: 'set', times: 1, computeMs: 0 });
    expect(distinct(answers)).toEqual(['by hand']);
    for (const ms of lateMs) expect(ms).toBeLessThan(500);
  });

  it('see an invalidation in their memories within 20 ms', async () => {
    const [first, ...others] = team.workers;
    const keys = Array.from({ length: 500 }, (_, index) => `invalidated ${index}`);
    await team.tellAll({ do: 'getOrSetMany', keys, computeMs: 0 });
    const watching = others.map((worker) => worker.tell({ do: 'watch', keys }));
    await pause(50);
    const calledAt: number[] = [];
    for (const key of keys) {
      const deleted = await first?.tell({ do: 'delete', key });
      calledAt.push(deleted?.at[0] ?? Number.NaN);
      await pause(2);
    }
    const seen = await Promise.all(watching);
    const lateMs = seen.flatMap(({ at }) => at.map((each, index) => each - (calledAt[index] ?? Number.NaN)));
    lateMs.sort((a, b) => a - b);
    const [p50 = Number.NaN, p99 = Number.NaN] = [0.5, 0.99].map((part) => lateMs[Math.floor(lateMs.length * part)]);
    console.log(
      `${name}: ${lateMs.length} times an invalidation was seen, after p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`,
    );
    expect(lateMs).toHaveLength(1_500);
    expect(p99).toBeLessThanOrEqual(20);
  });

  it('compute once more when the one that computes is killed', async () => {
    const firstBegins = team.next();
    const answers = team.workers.map((worker) => {
      return worker.tell({ do: 'getOrSet', key: 'harmed', times: 100, computeMs: 400 });
    });
    const holder = await firstBegins;
    await pause(200);
    const secondBegins = team.next();
    const killedAt = performance.now();
    await holder.kill();
    await secondBegins;
    const noticedMs = performance.now() - killedAt;
    console.log(`${name}: the death of the one that computed was noticed after ${Math.round(noticedMs)} ms`);
    const rest = await Promise.all(answers.filter((_, index) => team.workers[index] !== holder));
    expect(team.countOf('harmed')).toBe(2);
    expect(distinct(rest)).toHaveLength(1);
    expect(noticedMs).toBeLessThan(2 * leaseTtlMs);
  });
});

it('a process that is cut off while it computes keeps the others waiting for no longer than its lease', async () => {
  const redis = await startOwnRedis();
  const proxy = await startTcpProxy(redis.port);
  const team = new Team([`redis://127.0.0.1:${proxy.port}`, redis.url]);
  onTestFinished(async () => {
    await team.stop();
    await proxy.stop();
    await redis.kill();
  });
  await team.ready();
  const [cutOff, other] = team.workers;
  const begins = team.next();
  const computed = cutOff?.tell({ do: 'getOrSet', key: 'cut', times: 1, computeMs: 100 });
  await begins;
  proxy.hold();
  await computed;
  const answer = await other?.tell({ do: 'getOrSet', key: 'cut', times: 1, computeMs: 0 });
  const [from = Number.NaN, to = Number.NaN] = answer?.at ?? [];
  console.log(`the lease of one that was cut off kept another waiting for ${Math.round(to - from)} ms`);
  expect(team.countOf('cut')).toBe(2);
  expect(to - from).toBeLessThan(2 * leaseTtlMs);
});

function distinct(answers: readonly Answer[]): (string | undefined)[] {
  return [...new Set(answers.flatMap(({ values }) => values))];
}
