import { createBatcher } from '@warmpath/core/batcher';
import { createLimiter } from '@warmpath/core/limiter';
import DataLoader from 'dataloader';
import { measure, type Outcome, printTable, ratiosOf, rounded } from '#harness';

const keyCount = 1_000;
const batchSize = 32;

/** What do the first batcher and limiter cost, next to the libraries that people would take otherwise? */
export async function firstSlice(): Promise<Outcome> {
  const batch = await measure(batchedLoads());
  const take = await measure(tryTake());
  console.log(`${batchSize} loads in one batch, for each load; one take for one of ${keyCount} keys`);
  printTable([batch, take]);
  return {
    ratios: ratiosOf([batch]),
    values: {
      'batcher.load.ns': rounded(batch.oursNs),
      'limiter.tryTake.ns': rounded(take.oursNs),
    },
  };
}

/** Walks over all keys again and again. */
function walk(): () => string {
  let turn = 0;
  return () => `client-${turn++ % keyCount}`;
}

/** 32 loads that fill a batch. DataLoader's own cache is off, since ours keeps none either. */
function batchedLoads() {
  const items = Array.from({ length: batchSize }, (_, item) => item);
  const batcher = createBatcher<number, number>(async (batch) => batch.map((item) => item * 2), {
    maxItems: batchSize,
  });
  const loader = new DataLoader<number, number>(async (batch) => batch.map((item) => item * 2), {
    cache: false,
    maxBatchSize: batchSize,
  });
  return {
    name: 'batcher.load/dataloader.load',
    ours: () => Promise.all(items.map((item) => batcher.load(item))),
    peer: () => Promise.all(items.map((item) => loader.load(item))),
    units: batchSize,
  };
}

function tryTake() {
  const limiter = createLimiter({ name: 'bench', limit: 1_000_000, window: '1s' });
  const key = walk();
  return { name: 'limiter.tryTake.ns', ours: () => limiter.tryTake(key()) };
}
