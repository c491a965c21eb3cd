import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type BreakerPolicy, breaker } from '@warmpath/core/retry';
import CircuitBreaker from 'opossum';
import { type Outcome, rounded } from '#harness';

const looks = 31;
/** So many are weighed together, since one is lighter than what comes and goes on a heap. */
const weighed = 50;

interface Seen {
  readonly statsUs: number;
  readonly bytes: number;
}

/** What is seen of a breaker after a few calls and after very many, in a process of its own. */
const sides = {
  few: () => ours(1_000),
  many: () => ours(1_000_000),
  opossum: () => opossum(300_000),
} as const;

type Side = keyof typeof sides;

const sideNames = Object.keys(sides) as readonly Side[];

/** Does a breaker that has seen a million calls take more memory, or longer to ask, than one that has seen a thousand? */
export async function breakerMemory(): Promise<Outcome> {
  const seen: Record<Side, Seen> = {
    few: await child('few'),
    many: await child('many'),
    opossum: await child('opossum'),
  };
  console.log('A breaker after so many calls: one look at its statistics, and what it takes in memory');
  console.log(`1e3: ${text(seen.few)}; 1e6: ${text(seen.many)}; opossum after 3e5: ${text(seen.opossum)}`);
  return {
    ratios: {},
    values: {
      'breaker.statsUsAfter1e3': rounded(seen.few.statsUs),
      'breaker.statsUsAfter1e6': rounded(seen.many.statsUs),
      'breaker.bytesAfter1e3': rounded(seen.few.bytes),
      'breaker.bytesAfter1e6': rounded(seen.many.bytes),
      'breaker.statsUsAfter3e5.opossum': rounded(seen.opossum.statsUs),
      'breaker.bytesAfter3e5.opossum': rounded(seen.opossum.bytes),
    },
  };
}

const text = ({ statsUs, bytes }: Seen): string => `${statsUs.toFixed(2)} µs, ${Math.round(bytes)} bytes`;

async function child(side: Side): Promise<Seen> {
  const file = fileURLToPath(import.meta.url);
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', file, side]);
  return JSON.parse(stdout) as Seen;
}

async function ours(calls: number): Promise<Seen> {
  const fill = (each: BreakerPolicy): void => {
    for (let call = 0; call < calls; call++) each.record({ ok: call % 10 > 0, ms: call % 100 });
  };
  for (let each = 0; each < 3; each++) fill(breaker()); // what is compiled and cached is nobody's
  const before = usedBytes();
  const all = Array.from({ length: weighed }, () => breaker());
  for (const each of all) fill(each);
  const bytes = (usedBytes() - before) / weighed;
  const [one] = all;
  if (!one) throw new Error('There is no breaker');
  // As it is used as well: a call is more than what is recorded of it.
  for (let call = 0; call < Math.min(calls, 100_000); call++) await one(noop);
  return { statsUs: await medianUs(() => one.stats(), 1_000), bytes };
}

/** With its percentiles, as it comes. */
async function opossum(calls: number): Promise<Seen> {
  const before = usedBytes();
  const circuit = new CircuitBreaker(noop, { timeout: false, rollingCountTimeout: 60_000 });
  for (let call = 0; call < calls; call++) await circuit.fire();
  const bytes = usedBytes() - before;
  return { statsUs: await medianUs(() => circuit.stats, 1), bytes };
}

const noop = async (): Promise<void> => {};

async function medianUs(look: () => unknown, repeats: number): Promise<number> {
  const times: number[] = [];
  for (let round = -looks; round < looks; round++) {
    const began = performance.now();
    for (let each = 0; each < repeats; each++) if (!look()) throw new Error('There are no statistics');
    if (round >= 0) times.push(((performance.now() - began) * 1_000) / repeats);
  }
  return times.toSorted((one, other) => one - other)[looks >> 1] ?? Number.NaN;
}

function usedBytes(): number {
  for (let turn = 0; turn < 3; turn++) globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

if (import.meta.main) {
  const side = sideNames.find((each) => each === process.argv[2]);
  if (side) {
    console.log(JSON.stringify(await sides[side]()));
    process.exit(); // the peer keeps timers
  }
}
