import { createExecutor } from '@warmpath/core/executor';
import PQueue from 'p-queue';
import type { Contest, Task } from '#harness';

/** One call of a side runs so many tasks. */
const tasks = 1_000;

/** Of a side: so many run at a time. */
const places = 10;

/** What runs: nothing, as an async function does it. */
const noop = async (): Promise<void> => {};

/** Runs a task when there is a place for it. */
type Side = (concurrent: number) => (task: () => Promise<void>) => Promise<unknown>;

const ours: Side = (maxConcurrent) => {
  const executor = createExecutor({ name: 'bench', maxConcurrent });
  return (task) => executor.run(task);
};

const pQueue: Side = (concurrency) => {
  const queue = new PQueue({ concurrency });
  return (task) => queue.add(task);
};

/** A task of ours, next to what people would take otherwise. */
export async function executorContests(): Promise<readonly Contest[]> {
  for (const side of [ours, pQueue]) await verify(side);
  const contests: readonly Contest[] = [
    { name: 'executor.task/p-queue.task', ours: free(ours), peer: free(pQueue) },
    { name: 'executor.task.queued/p-queue.task.queued', ours: queued(ours), peer: queued(pQueue) },
    { name: 'executor.task.bounded', ours: bounded() },
    { name: 'executor.runAll', ours: together() },
  ];
  return contests.map((contest) => ({ ...contest, units: tasks }));
}

/** Before anything is timed: a side that keeps no bound would win. @throws when more or fewer run at a time than may */
async function verify(side: Side): Promise<void> {
  const run = side(places);
  let running = 0;
  let most = 0;
  const task = async (): Promise<void> => {
    most = Math.max(most, ++running);
    await Promise.resolve();
    running--;
  };
  await Promise.all(Array.from({ length: 10 * places }, () => run(task)));
  if (most !== places) throw new Error(`A side of a benchmark has run ${most} at a time where ${places} may`);
}

/** A place is free for each. */
function free(side: Side): Task {
  const run = side(places);
  return async () => {
    for (let task = 0; task < tasks; task++) await run(noop);
  };
}

/** All are there before the first has ended. */
function queued(side: Side): Task {
  const run = side(places);
  return () => Promise.all(Array.from({ length: tasks }, () => run(noop)));
}

/** With a time limit and a signal, which it shares with the others. */
function bounded(): Task {
  const executor = createExecutor({ name: 'bench', maxConcurrent: places });
  const { signal } = new AbortController();
  const options = { timeout: '1m', signal } as const;
  return async () => {
    for (let task = 0; task < tasks; task++) await executor.run(noop, options);
  };
}

/** With an outcome for each. */
function together(): Task {
  const executor = createExecutor({ name: 'bench', maxConcurrent: places });
  const all = Array.from({ length: tasks }, () => noop);
  return () => executor.runAll(all);
}
