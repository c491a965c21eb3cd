import { type Measured, measure, type Outcome, printTable, ratiosOf, rounded } from '#harness';
import { limiterBytes } from '#limiter-bytes';
import { memoryContests } from '#limiter-contests';
import { crowd, queueContest } from '#limiter-queue';
import { limiterRedis } from '#limiter-redis';
import { limiterReplay } from '#limiter-replay';

/** What does it cost to keep a limit, alone and with others, and how much of the limit is of use? */
export async function limiter(): Promise<Outcome> {
  const ratios: Record<string, number> = {};
  const values: Record<string, number> = {};
  for (const part of [inMemory, crowd, limiterBytes, limiterRedis, limiterReplay]) {
    const outcome = await part();
    console.log();
    Object.assign(ratios, outcome.ratios);
    Object.assign(values, outcome.values);
  }
  return { ratios, values };
}

async function inMemory(): Promise<Outcome> {
  const measured: Measured[] = [];
  for (const contest of [...(await memoryContests()), queueContest()]) measured.push(await measure(contest));
  console.log('In memory: one key unless said otherwise; 3d is requests and tokens in a minute and requests in a day');
  printTable(measured);
  const values = Object.fromEntries(
    measured.map(({ name, oursNs }) => [`${name.replace(/\/.*/, '')}.ns`, rounded(oursNs)]),
  );
  return { ratios: ratiosOf(measured), values };
}
