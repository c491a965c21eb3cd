import { createBatcher } from '@warmpath/core/batcher';
import DataLoader from 'dataloader';
import type { Contest } from '#harness';

const batchSize = 32;
const items = Array.from({ length: batchSize }, (_, item) => item);
const texts = items.map((item) => `a text of some length, number ${item}`);

async function doubled(batch: readonly number[]): Promise<number[]> {
  return batch.map((item) => item * 2);
}

async function measured(batch: readonly string[]): Promise<number[]> {
  return batch.map((text) => text.length);
}

/**
 * 32 loads of one turn that fill a batch, for each load. DataLoader's own cache is off, since ours keeps nothing either; still
 * ours sends what is the same only once, which DataLoader does with its cache alone.
 */
export function batchContests(): readonly Contest[] {
  const batcher = createBatcher(doubled, { maxItems: batchSize });
  const loader = new DataLoader<number, number>(doubled, { cache: false, maxBatchSize: batchSize });
  const ofTexts = createBatcher(measured, { maxItems: batchSize });
  const textLoader = new DataLoader<string, number>(measured, { cache: false, maxBatchSize: batchSize });
  const cachingLoader = (): DataLoader<string, number> => new DataLoader(measured, { maxBatchSize: batchSize });
  return [
    {
      name: 'batcher.load/dataloader.load',
      ours: () => Promise.all(items.map((item) => batcher.load(item))),
      peer: () => Promise.all(items.map((item) => loader.load(item))),
      units: batchSize,
    },
    {
      name: 'batcher.loadMany/dataloader.loadMany',
      ours: () => batcher.loadMany(items),
      peer: () => loader.loadMany(items),
      units: batchSize,
    },
    {
      name: 'batcher.loadText/dataloader.loadText',
      ours: () => Promise.all(texts.map((text) => ofTexts.load(text))),
      peer: () => Promise.all(texts.map((text) => textLoader.load(text))),
      units: batchSize,
    },
    {
      name: 'batcher.loadText/dataloader.loadOnce',
      ours: () => Promise.all(texts.map((text) => ofTexts.load(text))),
      peer: () => {
        const once = cachingLoader();
        return Promise.all(texts.map((text) => once.load(text)));
      },
      units: batchSize,
    },
  ];
}
