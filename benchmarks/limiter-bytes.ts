import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createLimiter, type Limiter } from '@warmpath/core/limiter';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { type Outcome, rounded } from '#harness';
import { cost, enough, threeLimits } from '#limiter-contests';

const keyCount = 100_000;
const runs = 3;

/** Each fills as many keys with one charge, and gives back what holds them. */
const sides = {
  'limiter.bytesPerKey': () => charged(createLimiter({ name: 'bench', limit: enough, window: '1m' })),
  'limiter.bytesPerKey.3d': () => charged(createLimiter({ name: 'bench', limits: threeLimits(enough) })),
  'limiter.bytesPerKey.rate-limiter-flexible': async () => {
    const limiter = new RateLimiterMemory({ points: enough, duration: 600 });
    for (let number = 0; number < keyCount; number++) await limiter.consume(`user-${number}`);
    return limiter;
  },
} as const;

type Side = keyof typeof sides;

const sideNames = Object.keys(sides) as readonly Side[];

/** What does a key take in memory, with its account? */
export async function limiterBytes(): Promise<Outcome> {
  const values: Record<string, number> = {};
  for (const side of sideNames) {
    const weighed: number[] = [];
    for (let run = 0; run < runs; run++) weighed.push(await weighInChild(side));
    values[side] = rounded(weighed.toSorted((one, other) => one - other)[runs >> 1] ?? Number.NaN);
  }
  const [one, three, peer] = sideNames.map((side) => values[side]?.toFixed(0));
  console.log(`Bytes for each of ${keyCount} keys that were charged once, median of ${runs} processes`);
  console.log(`one dimension ${one}, three ${three}, rate-limiter-flexible ${peer}`);
  return { ratios: {}, values };
}

/** In a process of its own: nothing that ran before is on its heap, and it may ask for a collection. */
async function weighInChild(side: Side): Promise<number> {
  const file = fileURLToPath(import.meta.url);
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', file, side]);
  return Number(stdout);
}

async function weigh(side: Side): Promise<number> {
  const before = usedBytes();
  const filled = await sides[side]();
  const bytes = usedBytes() - before;
  if (!filled) throw new Error('Nothing was filled');
  return bytes / keyCount;
}

function charged(limiter: Limiter): Limiter {
  for (let number = 0; number < keyCount; number++) limiter.tryTake(`user-${number}`, cost);
  if (limiter.status().keys !== keyCount) throw new Error(`The limiter has ${limiter.status().keys} keys`);
  return limiter;
}

function usedBytes(): number {
  for (let turn = 0; turn < 3; turn++) globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

if (import.meta.main) {
  const side = sideNames.find((each) => each === process.argv[2]);
  if (side) {
    console.log(await weigh(side));
    process.exit(); // the peer keeps a timer for each key
  }
}
