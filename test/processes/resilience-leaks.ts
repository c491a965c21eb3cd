import { getEventListeners } from 'node:events';
import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises';
import { createHttpPool, type HttpPool } from '@warmpath/core/http';
import { type Clock, runInContext, systemClock } from '@warmpath/core/kernel';
import {
  breaker,
  createAttemptBudget,
  hedge,
  type Policy,
  retry,
  type Step,
  timeout,
  wrap,
} from '@warmpath/core/retry';

/*
 * Calls that are aborted, in every phase of their life, for test/resilience-leaks.test.ts. What is left over is told after a tenth of
 * them, after all, and when the pools are closed. Run with --expose-gc.
 */

const [hangUrl = '', halfUrl = ''] = process.argv.slice(2);

export interface LeftOver {
  /** Calls that were aborted so far, and have rejected. */
  readonly rejected: number;
  /** What keeps the process alive, by kind. */
  readonly resources: Readonly<Record<string, number>>;
  /** Of the signal that all calls share. */
  readonly listeners: number;
  readonly timers: number;
  readonly sockets: number;
  /** Requests that the pools take for unfinished. */
  readonly inFlight: number;
  /** Sockets that were opened for calls that were waiting for one. */
  readonly dialledForQueue: number;
  readonly heapBytes: number;
}

/** After a tenth of the calls, after all, and with the pools closed. */
export interface Leaks {
  readonly first: LeftOver;
  readonly last: LeftOver;
  readonly closed: LeftOver;
  /** Milliseconds, by phase. */
  readonly took: Readonly<Record<string, number>>;
}

const connections = 50;

let timers = 0;
/** The system's, with its timers counted. */
const clock: Clock = {
  ...systemClock,
  schedule(delayMs, run, options) {
    timers++;
    let isOver = false;
    const end = (): void => {
      if (!isOver) timers--;
      isOver = true;
    };
    const timer = systemClock.schedule(delayMs, () => [end(), run()], options);
    return { cancel: () => [end(), timer.cancel()] };
  },
};

/** As the signal with which a server shuts down. */
const shutdown = new AbortController();

const hanging = createHttpPool({ name: 'hanging', baseUrl: hangUrl, connections, clock });
const halves = createHttpPool({ name: 'halves', baseUrl: halfUrl, connections, clock });
const crowded = createHttpPool({ name: 'crowded', baseUrl: hangUrl, connections: 1, clock });
const pools: readonly HttpPool[] = [hanging, halves, crowded];

const budget = createAttemptBudget({ clock, ratio: 10, perSecond: 1e6 });
const policies: Policy = wrap(
  retry({ attempts: 3, baseDelay: '1m', maxDelay: '2m', budget, clock, retryable: () => true }),
  breaker({ clock, isFailure: () => false }),
  timeout({ after: '10m', clock }),
);
const race = hedge({ after: 1, budget, clock });

type Call = (signal: AbortSignal, index: number) => Promise<unknown>;

interface Phase {
  readonly calls: number;
  /** How many are under way when they are aborted. */
  readonly atOnce: number;
  readonly call: Call;
  /** How many calls have come to where they are aborted, ever; without it they are there after a turn of the event loop. */
  readonly reached?: () => number;
}

const seen = { bodies: 0, hedges: 0 };

const readHalf: Call = async (signal) => {
  const { body } = await halves.stream('/', { signal });
  for await (const _ of body) seen.bodies++;
};

const hung: Call = (signal) =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));

const steps: readonly Step<unknown>[] = [
  { name: 'first', run: ({ signal }) => hung(signal, 0) },
  {
    name: 'second',
    run: ({ signal }) => {
      seen.hedges++;
      return hung(signal, 0);
    },
  },
];
const overSocket: readonly Step<unknown>[] = [
  { name: 'socket', run: ({ signal }) => hanging.request('/', { signal }) },
];

const ways: readonly Call[] = [
  (signal) => hanging.request('/', { signal }),
  (signal) => hanging.fetch('/', { signal }),
  (signal) => policies((attempt) => race(overSocket, attempt), { signal }),
];
const byTurns: Call = async (signal, index) => ways[index % ways.length]?.(signal, index);
const sent = (): number => hanging.stats().sent;

const aborted = 'aborted before they begin';
const phases: Readonly<Record<string, Phase>> = {
  [aborted]: { calls: 30_000, atOnce: 1_000, call: byTurns },
  'waiting for a socket': { calls: 30_000, atOnce: 1_000, call: (signal) => crowded.request('/', { signal }) },
  'before the headers': { calls: 10_000, atOnce: connections, call: byTurns, reached: sent },
  'amid the body': { calls: 10_000, atOnce: connections, call: readHalf, reached: () => seen.bodies },
  'under all policies, with both of a hedge': {
    calls: 10_000,
    atOnce: 500,
    call: (signal) => policies((attempt) => race(steps, attempt), { signal }),
    reached: () => seen.hedges,
  },
  'under all policies, between two attempts': {
    calls: 10_000,
    atOnce: 500,
    call: (signal) => policies(() => Promise.reject(new Error('no luck')), { signal }),
  },
};

/** Some of the calls of a phase, in batches that are aborted together. @returns how many have rejected */
async function run(name: string, { atOnce, call, reached }: Phase, calls: number): Promise<number> {
  let rejected = 0;
  for (let begun = 0; begun < calls; begun += atOnce) {
    const leaving = Array.from({ length: atOnce }, () => new AbortController());
    if (name === aborted) for (const each of leaving) each.abort();
    const before = reached?.() ?? 0;
    const outcomes = Promise.allSettled(
      leaving.map(({ signal }, index) => runInContext({ signal: shutdown.signal }, () => call(signal, index))),
    );
    await turn();
    while (reached && reached() < before + atOnce) await turn();
    for (const each of leaving) each.abort();
    for (const { status } of await outcomes) if (status === 'rejected') rejected++;
  }
  return rejected;
}

async function look(rejected: number): Promise<LeftOver> {
  const until = performance.now() + 10_000;
  // undici finds out that what was queued is aborted when its turn comes.
  do await pause(100);
  while (performance.now() < until && pools.some((pool) => pool.stats().inFlight > 0));
  for (let round = 0; round < 4; round++) {
    globalThis.gc?.();
    await turn();
  }
  const resources: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1;
  return {
    rejected,
    resources,
    listeners: getEventListeners(shutdown.signal, 'abort').length,
    timers,
    sockets: pools.reduce((sum, pool) => sum + pool.stats().open, 0),
    inFlight: pools.reduce((sum, pool) => sum + pool.stats().inFlight, 0),
    dialledForQueue: crowded.stats().dialled,
    heapBytes: process.memoryUsage().heapUsed,
  };
}

const took: Record<string, number> = {};
async function share(part: number): Promise<number> {
  let rejected = 0;
  for (const [name, phase] of Object.entries(phases)) {
    const began = performance.now();
    rejected += await run(name, phase, phase.calls * part);
    took[name] = Math.round((took[name] ?? 0) + performance.now() - began);
  }
  return rejected;
}

const tenth = await share(0.1);
const first = await look(tenth);
const last = await look(tenth + (await share(0.9)));
await Promise.all(pools.map((pool) => pool.close({ drain: 0 })));
const closed = await look(last.rejected);
process.send?.({ first, last, closed, took } satisfies Leaks);
process.disconnect();
