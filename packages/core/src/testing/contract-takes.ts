import { deepStrictEqual, ok, rejects, strictEqual } from 'node:assert/strict';
import type { StoreVerdict } from '../limiter/index.js';
import { type DeclareLimitsPromise, monthOf, placesOf, windowOf } from './limits-probe.js';

const minuteMs = 60_000;

/** What is decided at one moment. */
export function takePromises(promise: DeclareLimitsPromise): void {
  decides(promise);
  keepsApart(promise);
  goesByLimits(promise);
}

function decides(promise: DeclareLimitsPromise): void {
  promise('takes all of the limit, and not a unit more', async (store) => {
    const first = await store.take([7]);
    deepStrictEqual([first.ok, first.binding, first.remaining], [true, 0, [3]]);
    const refused = await store.take([4]);
    deepStrictEqual([refused.ok, refused.binding, refused.remaining], [false, 0, [3]]);
    ok(refused.waitMs > minuteMs / 2 && refused.waitMs <= minuteMs, `waits ${refused.waitMs} ms`);
    strictEqual(await store.ok([3]), true);
    strictEqual(await store.ok([1]), false);
  });
  promise('decides what is asked at once one by one, whatever it costs', async (store) => {
    const amounts = Array.from({ length: 100 }, (_, index) => (index % 4) / 2);
    const verdicts = await Promise.all(amounts.map((amount) => store.take([amount])));
    let used = 0;
    for (const [index, { ok, remaining }] of verdicts.entries()) {
      const fits = used + (amounts[index] ?? 0) <= 10;
      strictEqual(ok, fits, `the take with the index ${index}`);
      if (fits) used += amounts[index] ?? 0;
      deepStrictEqual(remaining, [10 - used]);
    }
  });
  promise('takes fractions, and nothing for nothing, however little is left', async (store) => {
    for (let count = 0; count < 100; count++) strictEqual(await store.ok([0.1]), true);
    strictEqual(await store.ok([0.1]), false);
    strictEqual(await store.ok([0]), true);
    deepStrictEqual(await store.remaining(), [0]);
  });
  promise('charges all dimensions or none, and names the one that binds', async (plain) => {
    const store = plain.of(windowOf(10, minuteMs), windowOf(100, 2 * minuteMs), monthOf(1_000));
    strictEqual((await store.take([1, 90, 1])).binding, 1);
    const refused = await store.take([1, 20, 1]);
    deepStrictEqual([refused.ok, refused.binding, refused.remaining], [false, 1, [9, 10, 999]]);
    deepStrictEqual([refused.waitsMs[0], refused.waitsMs[2]], [0, 0]);
    strictEqual((await store.take([9, 0, 9])).binding, 0);
    deepStrictEqual(await store.remaining(), [0, 10, 990]);
    const twice = await store.take([1, 20, 1]);
    deepStrictEqual([twice.ok, twice.binding], [false, 1], 'the longer wait binds');
  });
  promise('charges what it refuses, but no place, where that is asked for', async (plain) => {
    const store = plain.of(windowOf(10, minuteMs), placesOf(1));
    strictEqual(await store.ok([8, 0]), true);
    const lease = { id: 'a', ttlMs: minuteMs };
    const refused = await store.take([4, 1], { penalise: true, lease });
    deepStrictEqual([refused.ok, refused.remaining], [false, [0, 1]]);
  });
  promise('refuses to begin what is aborted', async ({ store }) => {
    const signal = AbortSignal.abort(new Error('gone'));
    const account = { limiter: 'contract', key: 'key', dimensions: [windowOf(1, minuteMs)], signal };
    await rejects(store.take({ ...account, amounts: [1] }), /gone/);
    await rejects(store.peers(signal), /gone/);
  });
}

function keepsApart(promise: DeclareLimitsPromise): void {
  promise('keeps limiters and keys apart, whatever their names', async (store) => {
    const names = [
      '',
      'a',
      'A',
      'a/b',
      'b',
      '{a}',
      '}',
      '%',
      '%61',
      '#',
      'ä',
      'a:p',
      'x'.repeat(65),
      'x'.repeat(66),
      '\ud800',
    ];
    const places = names.flatMap((limiter) => names.map((key) => store.at(`contract${limiter}`, key)));
    const verdicts = await Promise.all(places.map((each, index) => each.take([1 + (index % 9)])));
    deepStrictEqual(
      verdicts.map(({ remaining }) => remaining[0]),
      places.map((_, index) => 9 - (index % 9)),
    );
  });
  promise('begins anew for dimensions that count otherwise, and not for limits that have changed', async (store) => {
    strictEqual(await store.ok([10]), true);
    strictEqual(await store.of(windowOf(10, 2 * minuteMs)).ok([10]), true);
    const wider = store.of({ ...windowOf(15, minuteMs), name: '10/60000' });
    deepStrictEqual(await wider.remaining(), [5]);
  });
}

function goesByLimits(promise: DeclareLimitsPromise): void {
  promise('goes by the limits that are asked with', async (store) => {
    strictEqual(await store.ok([5], { limits: [4.5] }), true, 'nothing counted, so it passes');
    strictEqual(await store.ok([1], { limits: [5] }), false);
    strictEqual(await store.ok([1], { limits: [6] }), true);
    deepStrictEqual((await store.take([0], { limits: [20] })).remaining, [14]);
  });
  promise('goes by the limits of each who asks, also at once', async (store) => {
    const wider = store.of({ ...windowOf(15, minuteMs), name: '10/60000' });
    const verdicts = await Promise.all([store.take([10]), wider.take([4]), store.take([1]), wider.take([2])]);
    deepStrictEqual(
      verdicts.map(({ ok: isAllowed }) => isAllowed),
      [true, true, false, false],
    );
    deepStrictEqual(await wider.remaining(), [1]);
  });
  promise('charges a debt first, above the limit if need be', async (store) => {
    strictEqual(await store.ok([1], { debt: [9] }), true);
    strictEqual(await store.ok([0], { debt: [7] }), true);
    deepStrictEqual(await store.remaining(), [0]);
    const { ok, waitMs } = await store.take([1]);
    deepStrictEqual([ok, waitMs > 0], [false, true]);
  });
}

/** What passes with time. */
export function timePromises(promise: DeclareLimitsPromise): void {
  promise('has room again when the window has passed, and not before', async (plain) => {
    const store = plain.of(windowOf(4, 600));
    const first = await store.take([4]);
    const refused = await store.take([4]);
    isOnTime(refused, first.at + 600);
    if (refused.ok) return; // Too late to tell.
    deepStrictEqual(refused.resetMs, [refused.waitMs]);
    await store.pass(200);
    isOnTime(await store.take([1]), first.at + 600);
    await store.pass(401);
    strictEqual(await store.ok([3]), true);
  });
  promise('never lets a window hold more than the limit, wherever it begins', async (plain) => {
    const store = plain.of(windowOf(6, 900));
    const first = await store.take([3]);
    await store.pass(600);
    const second = await store.take([3]);
    strictEqual(second.ok, true);
    isOnTime(await store.take([1]), first.at + 900);
    await store.pass(330);
    const third = await store.take([4]);
    isOnTime(third, second.at + 900);
    if (!third.ok) strictEqual(await store.ok([2]), true);
  });
  promise('paces what has a burst', async (plain) => {
    const store = plain.of(windowOf(100, 60_000, 1));
    const first = await store.take([1]);
    const { ok: isAllowed, at, waitMs } = await store.take([1]);
    const everyMs = at + waitMs - first.at;
    ok(isAllowed || (everyMs > 590 && everyMs < 620), `one every ${everyMs} ms`);
    await store.pass(waitMs + 1);
    strictEqual(await store.ok([1]), true);
  });
  promise('holds a limit of the calendar until the end of its period', async (plain) => {
    const store = plain.of(monthOf(2));
    const before = Date.now();
    strictEqual(await store.ok([2]), true);
    const { ok: isAllowed, waitMs, resetMs } = await store.take([1]);
    deepStrictEqual([isAllowed, resetMs[0] === waitMs], [false, true]);
    ok(waitMs > 0 && waitMs <= 31 * 86_400_000, `waits ${waitMs} ms since ${before}`);
  });
}

/** Allowed from that instant of the store's on, and the wait is until then: however long the calls take. */
function isOnTime({ ok: isAllowed, at, waitMs }: StoreVerdict, from: number): void {
  strictEqual(isAllowed, at >= from, `${from - at} ms before its time`);
  if (!isAllowed) ok(Math.abs(at + waitMs - from) < 0.01, `waits ${waitMs} ms instead of ${from - at}`);
}
