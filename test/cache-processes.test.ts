import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { seededRandom } from '@warmpath/core/kernel';
import { expect, it, onTestFinished } from 'vitest';
import type { Question } from './processes/cache-worker.js';

const workerFile = fileURLToPath(new URL('processes/cache-worker.ts', import.meta.url));
const processCount = 8;
const runMs = 60_000;
/** Slow machines are slow; a call that takes this long waits for something that does not come. */
const hangMs = 20_000;

/** What is so, and what has been confirmed, of each key; asked and told by all processes, one after the other. */
class Truth {
  readonly #versions = new Map<number, number>();
  readonly #confirmed = new Map<number, number>();
  readonly faults: string[] = [];
  readonly levels = new Map<string, number>();
  longestMs = 0;

  answer(question: Question): readonly number[] {
    switch (question.ask) {
      case 'truth':
        return [this.#versions.get(question.key) ?? 0];
      case 'confirmed':
        return [this.#confirmed.get(question.key) ?? 0];
      case 'change':
        for (const key of question.keys) this.#versions.set(key, (this.#versions.get(key) ?? 0) + 1);
        return question.keys.map((key) => this.#versions.get(key) ?? 0);
      case 'confirm':
        for (const [index, key] of question.keys.entries()) {
          this.#confirmed.set(key, Math.max(this.#confirmed.get(key) ?? 0, question.versions[index] ?? 0));
        }
        return [];
      case 'done':
        this.levels.set(question.level, (this.levels.get(question.level) ?? 0) + 1);
        if (question.fault) this.faults.push(question.fault);
        this.longestMs = Math.max(this.longestMs, question.ms);
        return [];
    }
  }
}

it('eight processes on one SQLite file, killed at random for a minute, never see what was invalidated, and never hang', {
  timeout: runMs + 60_000,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'warmpath-processes-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'cache.sqlite');
  const truth = new Truth();
  const seed = Math.floor(Math.random() * 2 ** 31);
  const random = seededRandom(seed);
  const said: string[] = [];
  let started = 0;
  let isOver = false;

  const start = (): ChildProcess => {
    const child = fork(workerFile, [file, String(seed + started++)], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    child.stderr?.on('data', (text: Buffer) => said.push(String(text)));
    child.on('message', ({ id, question }: { id: number; question: Question }) => {
      const answer = truth.answer(question);
      if (child.connected) child.send({ id, answer }, () => {});
    });
    child.on('exit', (code, signal) => {
      if (!isOver && signal !== 'SIGKILL') said.push(`A process ended by itself: ${code} ${signal}`);
    });
    return child;
  };

  const children = Array.from({ length: processCount }, start);
  const until = performance.now() + runMs;
  let kills = 0;
  while (performance.now() < until && said.length === 0 && truth.faults.length === 0) {
    await new Promise((resolve) => setTimeout(resolve, 100 + random() * 700));
    const victim = Math.floor(random() * processCount);
    children[victim]?.kill('SIGKILL');
    children[victim] = start();
    kills++;
  }
  // Those that live have to go on to the end, however often others died beside them.
  const before = total(truth);
  if (said.length === 0) await expect.poll(() => total(truth), { timeout: 20_000 }).toBeGreaterThan(before + 100);
  isOver = true;
  await Promise.all(children.map(ended));

  const seen = `seed ${seed}, ${kills} kills, ${JSON.stringify(Object.fromEntries(truth.levels))}, longest call ${Math.round(truth.longestMs)} ms`;
  console.log(seen);
  expect(truth.faults, seen).toEqual([]);
  expect(said, seen).toEqual([]);
  expect(truth.longestMs, seen).toBeLessThan(hangMs);
  // It was the cache that answered, in all of its ways.
  for (const level of ['memory', 'store', 'computed', 'invalidated']) {
    expect(truth.levels.get(level) ?? 0, seen).toBeGreaterThan(100);
  }
  const database = new DatabaseSync(file);
  expect(database.prepare('PRAGMA integrity_check').all()).toEqual([{ integrity_check: 'ok' }]);
  database.close();
  expect(readdirSync(folder).filter((name) => name.includes('corrupt'))).toEqual([]);
});

function total(truth: Truth): number {
  let sum = 0;
  for (const count of truth.levels.values()) sum += count;
  return sum;
}

function ended(child: ChildProcess): Promise<unknown> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  return exit;
}
