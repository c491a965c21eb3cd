import { type ChildProcess, fork } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { seededRandom } from '@warmpath/core/kernel';
import { afterAll, beforeAll, beforeEach, expect, it, onTestFinished } from 'vitest';
import type { Order, Report } from './processes/stream-worker.js';
import { type OwnRedis, startOwnRedis, until, whyNoOwnRedis } from './redis-servers.js';

const workerFile = fileURLToPath(new URL('processes/stream-worker.ts', import.meta.url));
const note = whyNoOwnRedis();
beforeEach(({ skip }) => skip(note !== undefined, note));

type Read = Extract<Report, { type: 'read' }>;
type Produced = Extract<Report, { type: 'produced' }>;

let redis: OwnRedis;
beforeAll(async () => {
  if (!note) redis = await startOwnRedis();
});
afterAll(() => redis?.kill());

/** Some processes on one Redis, and what they tell. */
class Fleet {
  readonly reads: Read[] = [];
  readonly produced: Produced[] = [];
  readonly said: string[] = [];
  readonly children: ChildProcess[] = [];
  /** Those who asked in which process. */
  readonly asked = new Map<number, ChildProcess>();
  #ready = 0;

  async begin(count: number): Promise<void> {
    for (let index = 0; index < count; index++) this.#start();
    await until('all processes are ready', async () => this.#ready === count);
  }

  ask(process: number, order: Order): void {
    const child = this.children[process];
    if (!child?.connected) return;
    this.asked.set(order.id, child);
    child.send(order, () => {});
  }

  /** Those who can still be told anything. */
  get remaining(): number[] {
    return [...this.asked].filter(([, child]) => !child.killed).map(([id]) => id);
  }

  kill(pid: number): void {
    this.children.find((child) => child.pid === pid)?.kill('SIGKILL');
  }

  async isDone(): Promise<boolean> {
    const done = new Set(this.reads.map(({ id }) => id));
    return this.remaining.every((id) => done.has(id));
  }

  stop(): void {
    for (const child of this.children) child.kill('SIGKILL');
  }

  #start(): void {
    const child = fork(workerFile, [redis.url], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    child.stderr?.on('data', (text: Buffer) => this.said.push(String(text)));
    child.on('message', (report: Report) => {
      if (report.type === 'ready') this.#ready++;
      else if (report.type === 'read') this.reads.push(report);
      else this.produced.push(report);
    });
    this.children.push(child);
  }
}

async function newFleet(count = 4): Promise<Fleet> {
  const fleet = new Fleet();
  onTestFinished(() => fleet.stop());
  await fleet.begin(count);
  return fleet;
}

const chunks = 300;
const everyMs = 10;
const readers = 200;

/** Readers that join at random times while the stream runs, in whichever process; every fourth leaves early. */
async function crowd(fleet: Fleet, key: string, seed: number, withinMs = chunks * everyMs): Promise<void> {
  const random = seededRandom(seed);
  const joining = Array.from({ length: readers }, async (_, id) => {
    await pause(id === 0 ? 0 : random() * withinMs);
    const leavesAfter = id % 4 === 3 ? { leavesAfter: 1 + Math.floor(random() * 100) } : {};
    fleet.ask(Math.floor(random() * 4), { id, key, chunks, everyMs, silentMs: 0, ...leavesAfter });
  });
  await Promise.all(joining);
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

it('200 readers in 4 processes share one upstream call, each gets every chunk once and in order', async () => {
  const fleet = await newFleet();
  const seed = Math.floor(Math.random() * 2 ** 31);
  await crowd(fleet, 'shared', seed);
  await until('all have read', () => fleet.isDone());
  const { reads, produced, said } = fleet;
  const [producer] = produced;
  const others = reads.filter(({ pid, runs }) => pid !== producer?.pid && runs.length > 0);
  const live = others.flatMap(({ liveMs }) => liveMs);
  const seen = `seed ${seed}: ${produced.length} upstream calls for ${reads.length} readers, first chunk elsewhere after ${median(others.map(({ firstChunkMs }) => firstChunkMs)).toFixed(1)} ms (median), each chunk ${median(live).toFixed(1)} ms after its source (median)`;
  console.log(seen);
  expect(said, seen).toEqual([]);
  expect(produced, seen).toHaveLength(1);
  expect(reads, seen).toHaveLength(readers);
  for (const read of reads) {
    expect(read, seen).toMatchObject({ isInOrder: true, error: null, runs: [producer?.run] });
    if (!read.hasLeft) expect(read.count, seen).toBe(chunks);
  }
});

it('a reader in another process has the first chunk of a stream that runs already within milliseconds', async () => {
  const fleet = await newFleet(2);
  const count = 100;
  for (let id = 0; id < count; id++) {
    const order = { key: `joined ${id}`, chunks: 60, everyMs: 5, silentMs: 0 };
    fleet.ask(0, { id: id * 2, ...order });
    await pause(30);
    fleet.ask(1, { id: id * 2 + 1, ...order });
    await pause(30);
  }
  await until('all have read', () => fleet.isDone());
  const joined = fleet.reads.filter(({ id }) => id % 2 === 1);
  const firstMs = joined.map(({ firstChunkMs }) => firstChunkMs);
  const seen = `first chunk in another process after ${median(firstMs).toFixed(1)} ms (median), ${Math.max(...firstMs).toFixed(1)} ms (longest)`;
  console.log(seen);
  expect(fleet.said).toEqual([]);
  expect(fleet.produced).toHaveLength(count);
  expect(new Set(joined.map(({ level, count: chunks }) => `${level} ${chunks}`))).toEqual(new Set(['shared 60']));
  expect(median(firstMs), seen).toBeLessThan(100);
});

it('of 200 readers in 4 processes whose producer is killed each gets every chunk once and in order, or a typed error', async () => {
  const fleet = await newFleet();
  const seed = Math.floor(Math.random() * 2 ** 31);
  const joining = crowd(fleet, 'killed', seed, 8_000); // longer than it takes to notice
  await until('it is in the middle', async () => fleet.produced.length > 0);
  await pause((chunks * everyMs) / 2);
  const [victim] = fleet.produced;
  const producedBefore = fleet.produced.length;
  fleet.kill(victim?.pid ?? 0);
  await joining;
  await until('all that remain have read', () => fleet.isDone());
  const { reads, produced, said, remaining } = fleet;
  const left = reads.filter(({ id }) => remaining.includes(id));
  const lost = left.filter(({ error }) => error);
  const whole = left.filter(({ error, hasLeft }) => !error && !hasLeft);
  const seen = `seed ${seed}: ${produced.length} upstream calls, of ${left.length} remaining readers ${whole.length} have all, ${lost.length} a typed error`;
  console.log(seen);
  expect(said, seen).toEqual([]);
  expect([producedBefore, produced.length], seen).toEqual([1, 2]);
  for (const read of left) {
    expect(read.isInOrder, seen).toBe(true);
    expect(read.runs.length, seen).toBe(1);
    if (read.error) expect([read.error, read.runs], seen).toEqual(['WP_STREAM_LOST', [victim?.run]]);
    else if (!read.hasLeft) expect([read.count, read.runs], seen).toEqual([chunks, [produced[1]?.run]]);
  }
  expect(lost.length, seen).toBeGreaterThan(10);
  expect(whole.length, seen).toBeGreaterThan(10);
});

it('whose producer is killed before its first chunk is produced by one other, and nobody notices', async () => {
  const fleet = await newFleet();
  for (let id = 0; id < 80; id++) fleet.ask(id % 4, { id, key: 'silent', chunks: 20, everyMs: 5, silentMs: 1_500 });
  await until('it is asked for', async () => fleet.produced.length > 0);
  await pause(700);
  expect(fleet.produced).toHaveLength(1);
  fleet.kill(fleet.produced[0]?.pid ?? 0);
  await until('all that remain have read', () => fleet.isDone());
  const left = fleet.reads.filter(({ id }) => fleet.remaining.includes(id));
  expect(left).toHaveLength(60);
  for (const read of left) {
    expect(read).toMatchObject({ isInOrder: true, count: 20, error: null, runs: [fleet.produced[1]?.run] });
  }
  expect(fleet.produced).toHaveLength(2);
  expect(fleet.said).toEqual([]);
});
