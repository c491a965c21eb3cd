import { deepStrictEqual, notStrictEqual, strictEqual } from 'node:assert/strict';
import { type DeclareLimitsPairPromise, placesOf } from './limits-probe.js';

const minuteMs = 60_000;

/** What two processes have in common. */
export function pairLimitsPromises(promise: DeclareLimitsPairPromise, lose: (() => unknown) | undefined): void {
  promise('has one account for all processes', async (first, second) => {
    const verdicts = await Promise.all(
      Array.from({ length: 40 }, (_, index) => (index % 2 === 0 ? first : second).take([1])),
    );
    strictEqual(verdicts.filter(({ ok }) => ok).length, 10);
    const [one, other] = verdicts;
    strictEqual(one?.generation, other?.generation);
    await second.settle(one ?? (await first.take([0])), [-1]);
    deepStrictEqual(await first.remaining(), [1]);
  });
  promise('has one list of places for all processes', async (first, second) => {
    const [here, there] = [first.of(placesOf(1)), second.of(placesOf(1))];
    const verdict = await here.take([1], { lease: { id: 'here', ttlMs: minuteMs } });
    strictEqual(await there.ok([1], { lease: { id: 'there', ttlMs: minuteMs } }), false);
    await there.settle(verdict, [0], 'here');
    strictEqual(await there.ok([1], { lease: { id: 'there', ttlMs: minuteMs } }), true);
  });
  promise('counts who says that it is alive', async (first, second) => {
    const { signal } = new AbortController();
    strictEqual(await first.store.peers(signal), 1);
    strictEqual(await first.store.peers(signal), 1);
    strictEqual(await second.store.peers(signal), 2);
    strictEqual(await first.store.peers(signal), 2);
    await second.pass(3_000);
    strictEqual(await first.store.peers(signal), 2);
    await first.pass(3_000);
    strictEqual(await first.store.peers(signal), 1);
  });
  promise('charges what a process has had only where it is of another generation', async (first) => {
    const { generation } = await first.take([4]);
    await first.take([0], { own: { generation, amounts: [4] } });
    deepStrictEqual(await first.remaining(), [6]);
  });
  if (!lose) return;
  promise('is told once by each process what it has lost', async (first, second) => {
    const [mine, theirs] = [await first.take([4]), await second.take([3])];
    await lose();
    const own = { generation: mine.generation, amounts: [4] };
    const verdicts = await Promise.all([first.take([1], { own }), first.take([1], { own })]);
    deepStrictEqual(
      verdicts.map(({ remaining }) => remaining[0]),
      [5, 4],
    );
    notStrictEqual(verdicts[0]?.generation, mine.generation);
    strictEqual(await second.ok([2], { own: { generation: theirs.generation, amounts: [3] } }), false);
    strictEqual(await second.ok([1], { own: { generation: theirs.generation, amounts: [3] } }), true);
    await first.settle(mine, [-4]);
    deepStrictEqual(await first.remaining(), [0]);
  });
}
