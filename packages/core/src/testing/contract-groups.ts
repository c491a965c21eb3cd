import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import type { StoreTake, StoreVerdict } from '../limiter/index.js';
import { type DeclareLimitsPromise, type LimitsProbe, monthOf, windowOf } from './limits-probe.js';

const minuteMs = 60_000;
/** As many as a limiter asks for together. */
const most = 64;

/** What a store that claims `takesMore` decides together: the same as one by one. Of others nothing is asked. */
export function groupPromises(promise: DeclareLimitsPromise): void {
  promise('decides further ones one by one, where it claims to', async (store) => {
    deepStrictEqual(await together(store, [[7], [4], [2], [0], [2], [1]]), [
      [true, [3]],
      [false, [3]],
      [true, [1]],
      [true, [1]],
      [false, [1]],
      [true, [0]],
    ]);
    deepStrictEqual(await together(store, [[1], [0]]), [
      [false, [0]],
      [true, [0]],
    ]);
  });
  promise('grants further ones what is left for each, where it claims to', async (store) => {
    const amounts = Array.from({ length: most }, (_, index) => [(index % 4) / 16]);
    let left = 10;
    const expected = amounts.map(([amount = 0]) => {
      left -= amount;
      return [true, [left]];
    });
    deepStrictEqual(await together(store, amounts), expected);
  });
  promise('charges all dimensions or none for each of the further ones, where it claims to', async (plain) => {
    const store = plain.of(windowOf(10, minuteMs), windowOf(100, 2 * minuteMs, 50), monthOf(1_000));
    deepStrictEqual(
      await together(store, [
        [1, 40, 1],
        [1, 20, 1],
        [4, 10, 4],
        [6, 0, 6],
        [5, 0, 5],
      ]),
      [
        [true, [9, 10, 999]],
        [false, [9, 10, 999]],
        [true, [5, 0, 995]],
        [false, [5, 0, 995]],
        [true, [0, 0, 990]],
      ],
    );
  });
  promise(
    'charges a debt once and first, and goes by the limits, for further ones too, where it claims to',
    async (store) => {
      deepStrictEqual(await together(store, [[2], [2], [1]], { debt: [3], limits: [6] }), [
        [true, [1]],
        [false, [1]],
        [true, [0]],
      ]);
      deepStrictEqual(await together(store, [[3], [1], [0]], { debt: [1] }), [
        [true, [0]],
        [false, [0]],
        [true, [0]],
      ]);
    },
  );
  promise(
    'charges each of the further ones that it refuses where that is asked for, where it claims to',
    async (store) => {
      deepStrictEqual(await together(store, [[8], [4], [1]], { penalise: true }), [
        [true, [2]],
        [false, [0]],
        [false, [0]],
      ]);
    },
  );
}

/** Which were allowed, and what was left after each. */
async function together(
  store: LimitsProbe,
  [first = [], ...more]: readonly (readonly number[])[],
  sample: Pick<StoreTake, 'debt' | 'limits' | 'penalise'> = {},
): Promise<readonly (readonly [boolean, readonly number[]])[]> {
  const verdicts: StoreVerdict[] = [];
  if (store.store.takesMore) {
    const verdict = await store.take(first, { ...sample, more });
    verdicts.push(verdict, ...(verdict.more ?? []));
    for (const { at, generation } of verdicts) deepStrictEqual([at, generation], [verdict.at, verdict.generation]);
  } else {
    const { debt: _, ...rest } = sample;
    verdicts.push(await store.take(first, sample));
    for (const amounts of more) verdicts.push(await store.take(amounts, rest));
  }
  strictEqual(verdicts.length, 1 + more.length, 'one of each');
  for (const { ok, waitMs } of verdicts) strictEqual(ok, waitMs === 0, 'who may not has to wait');
  return verdicts.map(({ ok, remaining }) => [ok, remaining.map((left) => Math.max(0, Math.round(left * 16) / 16))]);
}
