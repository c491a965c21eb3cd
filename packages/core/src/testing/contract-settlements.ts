import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { type DeclareLimitsPromise, monthOf, placesOf, windowOf } from './limits-probe.js';

const minuteMs = 60_000;

/** What is corrected afterwards. */
export function settlementPromises(promise: DeclareLimitsPromise): void {
  promise('gives back what was charged too much, and charges what was too little', async (plain) => {
    const store = plain.of(windowOf(10, minuteMs), windowOf(100, minuteMs, 50), monthOf(1_000));
    const verdict = await store.take([4, 40, 4]);
    await store.settle(verdict, [-4, -30, 6]);
    const [requests, tokens = 0, month] = await store.remaining();
    deepStrictEqual([requests, month], [10, 990]);
    ok(tokens >= 40 && tokens < 41, `${tokens} tokens are left`);
    await store.settle(verdict, [12, 0, 0]);
    deepStrictEqual((await store.remaining())[0], 0);
    strictEqual(await store.ok([1, 0, 0]), false);
  });
  promise('gives back no more than was charged then', async (plain) => {
    const store = plain.of(windowOf(10, 6_400));
    const first = await store.take([2]);
    await store.pass(150);
    strictEqual(await store.ok([3]), true);
    await store.settle(first, [-5]);
    deepStrictEqual(await store.remaining(), [7]);
    await store.settle(first, [-5]);
    deepStrictEqual(await store.remaining(), [7]);
  });
  promise('gives nothing back of what has left its window', async (plain) => {
    const store = plain.of(windowOf(10, 1_500));
    const first = await store.take([4]);
    await store.pass(1_530);
    strictEqual(await store.ok([3]), true);
    await store.settle(first, [-4]);
    deepStrictEqual(await store.remaining(), [7]);
  });
  promise('gives nothing back of another generation', async (store) => {
    const verdict = await store.take([4]);
    await store.settle({ ...verdict, generation: 'another.' }, [-4]);
    deepStrictEqual(await store.remaining(), [6]);
  });
}

/** How many at the same time. */
export function placePromises(promise: DeclareLimitsPromise): void {
  const lease = (id: string, ttlMs = minuteMs) => ({ lease: { id, ttlMs } });
  promise('has so many places, and one more when one is given back', async (plain) => {
    const store = plain.of(placesOf(2), windowOf(10, minuteMs));
    const first = await store.take([1, 1], lease('a'));
    strictEqual(await store.ok([1, 1], lease('b')), true);
    const refused = await store.take([1, 1], lease('c'));
    deepStrictEqual([refused.ok, refused.binding, refused.remaining], [false, 0, [0, 8]]);
    ok(refused.waitMs > minuteMs / 2 && refused.waitMs <= minuteMs);
    await store.settle(first, [0, 0], 'a');
    strictEqual(await store.ok([1, 1], lease('c')), true);
    strictEqual(await store.ok([1, 1], lease('d')), false);
  });
  promise('asks for no place without a lease', async (plain) => {
    const store = plain.of(placesOf(1));
    strictEqual(await store.ok([1], lease('a')), true);
    strictEqual(await store.ok([0]), true);
    deepStrictEqual(await store.remaining(), [0]);
  });
  promise('gives a lease that it knows no second place', async (plain) => {
    const store = plain.of(placesOf(2));
    strictEqual(await store.ok([1], lease('a')), true);
    strictEqual(await store.ok([1], lease('b')), true);
    strictEqual(await store.ok([1], lease('b')), true);
    deepStrictEqual(await store.remaining(), [0]);
  });
  promise('has the places of a refusal to give to others', async (plain) => {
    const store = plain.of(windowOf(1, minuteMs), placesOf(1));
    strictEqual(await store.ok([1, 0]), true);
    strictEqual(await store.ok([1, 1], lease('a')), false);
    strictEqual(await store.ok([0, 1], lease('b')), true);
  });
  promise('has a place back when its lease expires, unless it is extended', async (plain) => {
    const store = plain.of(placesOf(2));
    const { at } = await store.take([1], lease('a', 2_000));
    strictEqual(await store.ok([1], lease('b', 2_000)), true);
    strictEqual(await store.extend('b', minuteMs), true);
    strictEqual(await store.extend('never', minuteMs), false);
    const refused = await store.take([1], lease('c'));
    ok(Math.abs(refused.at + refused.waitMs - at - 2_000) < 0.01, `waits ${refused.waitMs} ms`);
    await store.pass(refused.waitMs + 1);
    strictEqual(await store.extend('a', minuteMs), false);
    strictEqual(await store.ok([1], lease('c')), true);
    strictEqual(await store.ok([1], lease('d')), false);
  });
  promise('extends whatever has no place to lose', async (store) => {
    strictEqual(await store.ok([1], lease('a')), true);
    strictEqual(await store.extend('a', minuteMs), true);
  });
}
