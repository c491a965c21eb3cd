import { describe, expect, it } from 'vitest';
import { deskOn, SimulatedLimits, windowOf } from '../../../test/limiter-stores.js';
import { createFakeClock } from '../../testing/index.js';
import type { StoreDeskOptions } from './store-desk.js';

function setUp(options: Partial<StoreDeskOptions> = {}) {
  const clock = createFakeClock();
  const limits = new SimulatedLimits(clock);
  const process = deskOn(limits, { dimensions: [windowOf(100)], ...options });
  process.store.takesMore = true;
  const takeAll = (amounts: readonly number[]) =>
    Promise.all(amounts.map((amount) => process.desk.take('k', [amount], {})));
  const settles = () => process.store.made.filter((each) => each.startsWith('settle'));
  return { clock, limits, takeAll, settles, ...process };
}

describe('takes of one key in one turn', () => {
  it('are one question, and each has its own answer', async () => {
    const { takeAll, store } = setUp();
    const answers = await takeAll([60, 50, 30, 0, 11, 10]);
    expect(answers.map(({ verdict }) => [verdict.ok, verdict.remaining])).toEqual([
      [true, [40]],
      [false, [40]],
      [true, [10]],
      [true, [10]],
      [false, [10]],
      [true, [0]],
    ]);
    expect(store.made.filter((each) => each === 'take')).toHaveLength(1);
  });

  it('are each given back what comes too late, whichever of them were refused', async () => {
    const { clock, limits, takeAll, desk, store, settles } = setUp();
    await takeAll([50]);
    store.fault = 100;
    const late = takeAll([80, 5, 6]);
    await clock.advance(60);
    expect((await late).map(({ decidedBy, verdict }) => [decidedBy, verdict.ok])).toEqual([
      ['local', false],
      ['local', true],
      ['local', true],
    ]);
    await clock.advance(40);
    expect(settles()).toEqual(['settle -11']);
    store.fault = 'well';
    await clock.advance(3_000);
    expect(limits.used('test', 'k')).toEqual([61]);
    await desk.close();
  });

  it('are not given back what was a penalty', async () => {
    const { clock, takeAll, store, settles } = setUp({ penalise: true });
    await takeAll([50]);
    store.fault = 100;
    const late = takeAll([5, 46, 6]);
    await clock.advance(60);
    await late;
    await clock.advance(40);
    expect(settles()).toEqual(['settle -5']);
  });
});
