import { expect, it } from 'vitest';
import { Slots } from './slots.js';

it('gives places to those who wait in the order in which they came, however many', async () => {
  const slots = new Slots(2);
  slots.take();
  slots.take();
  const served: number[] = [];
  for (let turn = 0; turn < 1_000; turn++) void slots.next().then(() => served.push(turn));
  for (let turn = 0; turn < 1_000; turn++) {
    slots.release();
    if (turn % 7 === 0) await Promise.resolve();
  }
  await Promise.resolve();
  expect(served).toEqual(Array.from({ length: 1_000 }, (_, turn) => turn));
  expect(slots.free).toBe(0);
  slots.release();
  slots.release();
  expect(slots.free).toBe(2);
  await slots.next();
  expect(slots.free).toBe(1);
});
