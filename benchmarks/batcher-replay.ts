import { readFile } from 'node:fs/promises';
import { createBatcher } from '@warmpath/core/batcher';
import { createFakeClock } from '@warmpath/core/testing';
import { rounded } from '#harness';

const trace = new URL('../../shared/data/azure-llm-2023/conv.csv', import.meta.url);
const arrivalsPerSecond = 200;
const modelMs = 20;
/** What the goals are measured with: about as many as come in while a call is under way, with one to spare. */
const capacity = 5;

export interface Replayed {
  readonly maxItems: number;
  /** Items sent over the capacity of the batches sent. */
  readonly efficiencyPct: number;
  readonly itemsPerCall: number;
  readonly addedMsP50: number;
  readonly addedMsP95: number;
}

/**
 * Arrivals of the Azure LLM inference trace of 2023 (conversations, CC BY 4.0), sped up to 200 a second; each asks for one
 * embedding of a model that takes 20 ms whatever the batch. The model is simulated and time is virtual, so the figures are exact
 * and say nothing of any machine. Undefined where the trace is not there.
 */
export async function replays(): Promise<readonly Replayed[] | undefined> {
  const arrivals = await arrivalsMs();
  if (!arrivals) return undefined;
  const all: Replayed[] = [];
  for (const maxItems of [4, capacity, 8, 16, 32]) all.push(await replayed(arrivals, maxItems));
  return all;
}

export function valuesOf(all: readonly Replayed[]): Record<string, number> {
  const goal = all.find(({ maxItems }) => maxItems === capacity);
  if (!goal) return {};
  return {
    'batch.maxItems': capacity,
    'batch.efficiencyPct': rounded(goal.efficiencyPct),
    'batch.addedMsP50': rounded(goal.addedMsP50),
  };
}

export function printReplays(all: readonly Replayed[] | undefined): void {
  console.log(
    `\n${arrivalsPerSecond} arrivals a second as in a trace of conversations, a simulated model of ${modelMs} ms, virtual time`,
  );
  if (!all) {
    console.log(
      `skipped: it needs ${trace.pathname.split('/').slice(-3).join('/')} of the shared data beside the project`,
    );
    return;
  }
  console.log('maxItems   efficiency   items a call   added p50   added p95');
  for (const { maxItems, efficiencyPct, itemsPerCall, addedMsP50, addedMsP95 } of all) {
    const cells = [
      String(maxItems).padStart(8),
      `${efficiencyPct.toFixed(1)} %`.padStart(10),
      itemsPerCall.toFixed(2).padStart(12),
      `${addedMsP50.toFixed(1)} ms`.padStart(9),
      `${addedMsP95.toFixed(1)} ms`.padStart(9),
    ];
    console.log(cells.join('   '));
  }
}

async function replayed(arrivals: readonly number[], maxItems: number): Promise<Replayed> {
  const clock = createFakeClock();
  const sentAt: number[] = [];
  const batcher = createBatcher<number, number>(
    (items) =>
      new Promise((resolve) => {
        for (const item of items) sentAt[item] = clock.now();
        clock.schedule(modelMs, () => resolve(items));
      }),
    { maxItems, clock },
  );
  const loads: Promise<number>[] = [];
  for (const [item, at] of arrivals.entries()) {
    await clock.advance(Math.max(0, at - clock.now()));
    loads.push(batcher.load(item));
    await clock.settle();
  }
  await clock.advance(1_000); // longer than any window and call
  await Promise.all(loads);
  const { items, batches } = batcher.stats();
  const added = arrivals.map((at, item) => (sentAt[item] ?? Number.NaN) - at).sort((a, b) => a - b);
  const quantile = (share: number): number => added[Math.floor(share * added.length)] ?? Number.NaN;
  return {
    maxItems,
    efficiencyPct: (100 * items) / (batches * maxItems),
    itemsPerCall: items / batches,
    addedMsP50: quantile(0.5),
    addedMsP95: quantile(0.95),
  };
}

async function arrivalsMs(): Promise<readonly number[] | undefined> {
  let text: string;
  try {
    text = await readFile(trace, 'utf8');
  } catch {
    return undefined;
  }
  const instants = text
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => instantOf(line.slice(0, line.indexOf(','))))
    .sort((a, b) => a - b);
  const [first = 0] = instants;
  const spanMs = (instants.at(-1) ?? 0) - first;
  const scale = ((instants.length - 1) * 1_000) / arrivalsPerSecond / spanMs;
  return instants.map((instant) => (instant - first) * scale);
}

/** `2023-11-16 18:15:46.6805900`, whose seven digits a Date would cut to three. */
function instantOf(text: string): number {
  const [date = '', time = ''] = text.split(' ');
  const [whole = '', fraction = '0'] = time.split('.');
  return Date.parse(`${date}T${whole}Z`) + Number(`0.${fraction}`) * 1_000;
}
