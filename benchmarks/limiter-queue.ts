import { type Clock, systemClock } from '@warmpath/core/kernel';
import { createLimiter } from '@warmpath/core/limiter';
import Bottleneck from 'bottleneck';
import { type Contest, type Outcome, rounded } from '#harness';

const jobs = 100;
const waiters = 100_000;
const runs = 5;

/**
 * From many jobs asked for at once until each has been started, as fast as the limiter can. Bottleneck is given no limit to
 * keep. Ours is used up by a reservation that comes back once all of them are there, so every one of them really waits.
 */
export function queueContest(): Contest {
  const bottleneck = new Bottleneck();
  const limiter = createLimiter({ name: 'bench', limit: jobs, window: '1h' });
  let run = 0;
  return {
    name: 'queue.start/bottleneck.start',
    ours: () => {
      const key = `run-${++run}`;
      const reserved = limiter.tryReserve(key, jobs);
      const all = allStarted(async (start) => {
        if ((await limiter.take(key, 1, { timeout: '2h' })).ok) await start();
      });
      if (!reserved.ok || limiter.status().waiting !== jobs)
        throw new Error('A job of a benchmark did not have to wait');
      reserved.lease.settle(0);
      return all;
    },
    peer: () => allStarted((start) => bottleneck.schedule(start)),
    units: jobs,
    by: 'wall',
  };
}

async function allStarted(queue: (start: () => Promise<void>) => Promise<void>): Promise<void> {
  let started = 0;
  const start = async (): Promise<void> => {
    started++;
  };
  await Promise.all(Array.from({ length: jobs }, () => queue(start)));
  if (started !== jobs) throw new Error(`${started} of ${jobs} jobs were started`);
}

/** What 100,000 who wait for one key cost this thread, and how many timers they need. */
export async function crowd(): Promise<Outcome> {
  const waited: number[] = [];
  const aborted: number[] = [];
  let mostTimers = 0;
  for (let run = 0; run < runs; run++) {
    const crowd = await crowdThatWaits();
    waited.push(crowd.waitedNs);
    aborted.push(crowd.abortedNs);
    mostTimers = Math.max(mostTimers, crowd.mostTimers);
  }
  const [waitedNs, abortedNs] = [waited, aborted].map((all) => all.toSorted((a, b) => a - b)[runs >> 1] ?? Number.NaN);
  console.log(
    `${waiters} wait for one key with ${mostTimers} timer(s), medians of ${runs} runs: from asking to being let`,
  );
  console.log(`through ${us(waitedNs)} each; from being aborted to being gone ${us(abortedNs)} each`);
  const values = {
    'queue.100kWaiters.ns': rounded(waitedNs ?? Number.NaN),
    'queue.100kWaiters.abortNs': rounded(abortedNs ?? Number.NaN),
    'queue.100kWaiters.timers': mostTimers,
  };
  return { ratios: {}, values };
}

interface Crowd {
  readonly waitedNs: number;
  readonly abortedNs: number;
  readonly mostTimers: number;
}

/** Once all of them are let through, once they are aborted, each by a signal of its own. */
async function crowdThatWaits(): Promise<Crowd> {
  const { clock, mostTimers } = timersCounted();
  const limiter = createLimiter({ name: 'bench', limit: waiters, window: '5s', maxWaiting: waiters, clock });
  const isAllWaiting = (): boolean => limiter.status().waiting === waiters;
  limiter.tryTake('through', waiters);
  let began = process.threadCpuUsage();
  const all = Promise.all(Array.from({ length: waiters }, () => limiter.take('through')));
  if (!isAllWaiting()) throw new Error('Some of the crowd did not have to wait');
  if (!(await all).every(({ ok }) => ok)) throw new Error('Some of the crowd were refused');
  const waitedNs = nsEachSince(began);

  limiter.tryTake('aborted', waiters);
  const controllers = Array.from({ length: waiters }, () => new AbortController());
  const left = Promise.allSettled(controllers.map(({ signal }) => limiter.take('aborted', 1, { signal })));
  if (!isAllWaiting()) throw new Error('Some of the crowd did not have to wait');
  const reason = new Error('gone');
  began = process.threadCpuUsage();
  for (const controller of controllers) controller.abort(reason);
  if (limiter.status().waiting > 0) throw new Error('Somebody who was aborted still waits');
  await left;
  const abortedNs = nsEachSince(began);
  await limiter.close();
  return { waitedNs, abortedNs, mostTimers: mostTimers() };
}

function nsEachSince(began: NodeJS.CpuUsage): number {
  const { user, system } = process.threadCpuUsage(began);
  return ((user + system) * 1_000) / waiters;
}

/** The system's clock, which knows how many of its timers were set at a time. */
function timersCounted(): { readonly clock: Clock; readonly mostTimers: () => number } {
  const live = new Set<object>();
  let most = 0;
  const clock: Clock = {
    ...systemClock,
    schedule(delayMs, run, options) {
      const mark = {};
      live.add(mark);
      most = Math.max(most, live.size);
      const ring = (): void => {
        live.delete(mark);
        run();
      };
      const timer = systemClock.schedule(delayMs, ring, options);
      return {
        cancel() {
          live.delete(mark);
          timer.cancel();
        },
      };
    },
  };
  return { clock, mostTimers: () => most };
}

function us(ns = Number.NaN): string {
  return `${(ns / 1_000).toFixed(2)} µs`;
}
