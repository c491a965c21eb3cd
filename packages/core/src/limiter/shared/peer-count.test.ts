import { describe, expect, it } from 'vitest';
import { SimulatedLimits } from '../../../test/limiter-stores.js';
import { createFakeClock } from '../../testing/index.js';
import { PeerCount } from './peer-count.js';
import { StoreCall } from './store-call.js';

function setUp(random = () => 0.5) {
  const clock = createFakeClock();
  const store = new SimulatedLimits(clock).connect();
  const answers: number[] = [];
  store.peers = async () => {
    store.made.push(`peers at ${clock.now()}`);
    const answer = answers.shift();
    if (answer === undefined) throw new Error('dead');
    return answer;
  };
  const call = new StoreCall({ limiter: 'test', store, storeTimeoutMs: 50, clock, onEvent: undefined });
  const peers = new PeerCount({ call, clock, random, isNeeded: () => false, onAlive: () => {} });
  return { clock, store, answers, peers };
}

describe('the count of peers', () => {
  it('is the last that was heard, and never less than this process', async () => {
    const { clock, answers, peers } = setUp();
    answers.push(3, 0, Number.NaN, 2.9);
    const counts = [peers.count];
    peers.touch(0);
    for (let index = 0; index < 5; index++) {
      await clock.advance(index === 0 ? 0 : 1_000);
      counts.push(peers.count);
    }
    expect(counts).toEqual([1, 3, 1, 1, 2, 2]);
  });

  it('is asked for about once a second while the store is in use, not by all at the same instant', async () => {
    for (const [random, at] of [
      [() => 0, 900],
      [() => 0.999, 1_099],
    ] as const) {
      const { clock, store, answers, peers } = setUp(random);
      answers.push(...Array<number>(100).fill(2));
      peers.touch(0);
      peers.touch(0);
      await clock.advance(1_100);
      expect(store.made.map((each) => Math.floor(Number(each.split(' ')[2])))).toEqual([0, at]);
      await clock.advance(30_000);
      expect(store.made.length).toBeLessThanOrEqual(13);
      expect(clock.pending).toBe(0);
      peers.touch(clock.now());
      peers.close();
      await clock.advance(5_000);
      peers.touch(clock.now());
      expect(clock.pending).toBe(0);
    }
  });
});
