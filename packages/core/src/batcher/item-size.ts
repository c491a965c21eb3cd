import { badOption, WarmpathError } from '../kernel/index.js';
import type { BatcherConfig } from './options.js';

type Limits<Item> = Pick<BatcherConfig<Item, unknown>, 'name' | 'weight' | 'maxWeight' | 'maxBytes'>;

/** What an item weighs; 0 where nothing is weighed. @throws WarmpathError `WP_BATCH_ITEM_TOO_LARGE`, `WP_BAD_OPTION` */
export function weighed<Item>(limits: Limits<Item>, item: Item): number {
  if (limits.weight === undefined) return 0;
  const weight = limits.weight(item);
  if (!(typeof weight === 'number' && weight >= 0 && weight < Number.POSITIVE_INFINITY)) {
    throw badOption(`Batcher '${limits.name}'`, 'weight', 'a function that returns a number from 0 up', weight);
  }
  if (weight > limits.maxWeight) throw tooLarge(limits.name, 'weighs', weight, 'maxWeight', limits.maxWeight);
  return weight;
}

/** What an item takes on the wire, about; 0 where that does not count. @throws WarmpathError `WP_BATCH_ITEM_TOO_LARGE` */
export function bytesOf<Item>({ name, maxBytes }: Limits<Item>, item: Item): number {
  if (maxBytes === Number.POSITIVE_INFINITY) return 0;
  const bytes = byteLength(item);
  if (bytes > maxBytes) throw tooLarge(name, 'has bytes:', bytes, 'maxBytes', maxBytes);
  return bytes;
}

function byteLength(item: unknown): number {
  if (typeof item === 'string') return Buffer.byteLength(item);
  if (ArrayBuffer.isView(item) || item instanceof ArrayBuffer) return item.byteLength;
  return Buffer.byteLength(JSON.stringify(item) ?? '');
}

function tooLarge(batcher: string, verb: string, size: number, option: string, limit: number): WarmpathError {
  return new WarmpathError(
    'WP_BATCH_ITEM_TOO_LARGE',
    `Batcher '${batcher}': the item ${verb} ${size}, and '${option}' is ${limit}: it fits into no batch, not even alone.`,
    { details: { batcher, [option]: limit, size } },
  );
}
