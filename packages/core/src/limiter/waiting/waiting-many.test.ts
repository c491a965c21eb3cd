import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../../testing/index.js';
import { type Outcome, WaitingRoom, type Wish } from './waiting-room.js';

const many = 100_000;

function setup() {
  const fake = createFakeClock();
  const seen = { mostTimers: 0, scheduled: 0, attempts: 0, isOpen: false };
  const clock: typeof fake = {
    ...fake,
    schedule: (...timer) => {
      const handle = fake.schedule(...timer);
      seen.scheduled++;
      seen.mostTimers = Math.max(seen.mostTimers, fake.pending);
      return handle;
    },
  };
  const room = new WaitingRoom<number>({
    clock,
    attempt: () => {
      seen.attempts++;
      return { ok: seen.isOpen, waitMs: 60_000, verdict: seen.attempts };
    },
    giveBack: () => {},
    costOf: () => 1 / 60,
    predictMs: () => 0,
    weightOf: (tenant) => (tenant === 't1' ? 3 : 1),
    agingMs: 10_000,
    maxWaiting: many,
    what: 'test',
  });
  const enter = (index: number, wish: Partial<Wish> = {}): Promise<Outcome<number>> => {
    const usual = { key: 'k', amounts: [1], tenant: `t${index % 7}`, priority: index % 10, signal: undefined };
    return room.enter({ ...usual, deadline: 1e6 + (index % 1_000), ...wish });
  };
  return { fake, room, seen, enter };
}

const all = Array.from({ length: many }, (_, index) => index);

// The timeout is for busy machines: each takes a second or two.
describe('a hundred thousand who wait', { timeout: 60_000 }, () => {
  it.each([1, many])('need one timer on %i keys, and none once all have been granted', async (keys) => {
    const { fake, room, seen, enter } = setup();
    const waiting = all.map((index) => enter(index, { key: `k${index % keys}` }));
    expect([room.size, room.keys, fake.pending]).toEqual([many, keys, 1]);
    seen.isOpen = true;
    await fake.advance(60_000);
    const verdicts = (await Promise.all(waiting)).map((outcome) => outcome.refused ?? 'granted');
    expect(new Set(verdicts)).toEqual(new Set(['granted']));
    expect([room.size, room.keys, fake.pending, seen.mostTimers]).toEqual([0, 0, 0, 1]);
    expect(seen.scheduled).toBe(1);
    // Whoever was tried before something more urgent came is tried once more than the others.
    expect(seen.attempts).toBeLessThanOrEqual(2 * many);
  });

  it('need one timer for all their deadlines, and each is refused at its own', async () => {
    const { fake, room, seen, enter } = setup();
    const ends: number[] = [];
    const waiting = all.map((index) => enter(index).then(() => ends.push(fake.now() - 1e6 - (index % 1_000))));
    await fake.advance(1e6 + 1_000);
    await Promise.all(waiting);
    expect(ends.filter((late) => late !== 0)).toEqual([]);
    expect([room.size, room.keys, fake.pending, seen.mostTimers]).toEqual([0, 0, 0, 1]);
  });

  it.each(['one signal', 'signals of their own'])(
    'leave nothing behind when they are aborted, by %s',
    async (whose) => {
      const { fake, room, enter, seen } = setup();
      const one = new AbortController();
      const controllers = whose === 'one signal' ? [one] : all.map(() => new AbortController());
      const signalOf = (index: number): AbortSignal => (controllers[index] ?? one).signal;
      const waiting = all.map((index) => enter(index, { key: `k${index % 100}`, signal: signalOf(index) }));
      expect(getEventListeners(signalOf(0), 'abort')).toHaveLength(1);
      const reason = new Error('gone');
      for (const controller of controllers) controller.abort(reason);
      const ends = new Set((await Promise.allSettled(waiting)).map((end) => end.status === 'rejected' && end.reason));
      expect(ends).toEqual(new Set([reason]));
      expect([room.size, room.keys, fake.pending, seen.mostTimers]).toEqual([0, 0, 0, 1]);
      expect(controllers.flatMap(({ signal }) => getEventListeners(signal, 'abort'))).toEqual([]);
    },
  );
});
