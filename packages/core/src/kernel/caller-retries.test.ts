import { expect, it } from 'vitest';
import { callerRetriesFrom } from './index.js';

it.each<[string | string[] | undefined, number | undefined]>([
  ['0', 0],
  ['2', 2],
  ['100', 100],
  ['101', undefined],
  ['1000', undefined],
  ['-1', undefined],
  ['1.5', undefined],
  ['two', undefined],
  ['', undefined],
  ['1, 2', undefined],
  [['1', '2'], undefined],
  [undefined, undefined],
])('reads x-stainless-retry-count %j as %j', (header, count) => {
  expect(callerRetriesFrom(header)).toBe(count);
});
