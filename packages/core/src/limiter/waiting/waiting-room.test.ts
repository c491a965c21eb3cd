import { getEventListeners } from 'node:events';
import { describe, expect, it, vi } from 'vitest';
import { createFakeClock } from '../../testing/index.js';
import { type Attempt, type Outcome, WaitingRoom, type WaitingRoomOptions, type Wish } from './waiting-room.js';

type Answer = Attempt<string>;

const granted: Answer = { ok: true, waitMs: 0, verdict: 'granted' };
const refused = (waitMs: number, isUpperBound = false): Answer => ({ ok: false, waitMs, verdict: 'no', isUpperBound });

/** A room whose attempts answer what the test says: in the end a list of who was tried, when, and what came of it. */
function setup(options: Partial<WaitingRoomOptions<string>> = {}, lateMs: () => number = () => 0) {
  const clock = createFakeClock();
  const log: string[] = [];
  const attempt = vi.fn((_: Wish): Answer | Promise<Answer> => refused(1_000));
  const giveBack = vi.fn();
  const room = new WaitingRoom<string>({
    clock: { ...clock, now: () => clock.now() + lateMs() },
    attempt: (wish) => {
      log.push(`${clock.now()} tries ${wish.tenant}`);
      return attempt(wish);
    },
    giveBack,
    costOf: ({ amounts }) => amounts[0] ?? 0,
    predictMs: () => 0,
    weightOf: () => 1,
    agingMs: 10_000,
    maxWaiting: 100,
    what: "limiter 'test'",
    ...options,
  });
  const enter = (tenant: string, wish: Partial<Wish> = {}): Promise<Outcome<string>> => {
    const priority = 5;
    const entered = room.enter({
      ...{ key: 'k', amounts: [1], tenant, priority, deadline: Number.POSITIVE_INFINITY, signal: undefined },
      ...wish,
    });
    const told = (end: string): unknown => log.push(`${clock.now()} ${tenant}: ${end}`);
    entered.then(
      (outcome) => told(outcome.refused ?? outcome.verdict),
      (error: Error) => told(error.message),
    );
    return entered;
  };
  return { clock, room, attempt, giveBack, log, enter };
}

/** An attempt that is under way until the test answers. */
function underWay(): { promise: Promise<Answer>; answer: (answer: Answer) => void; fail: (error: Error) => void } {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  return { promise, answer: resolve, fail: reject };
}

describe('WaitingRoom', () => {
  it('tries at once who is next, again when the wait is over, and the next one right after', async () => {
    const { clock, room, attempt, log, enter } = setup();
    enter('a');
    enter('b');
    await clock.advance(999);
    attempt.mockReturnValue(granted);
    await clock.advance(1);
    expect(log).toEqual(['0 tries a', '1000 tries a', '1000 tries b', '1000 a: granted', '1000 b: granted']);
    expect([room.size, room.keys, clock.pending]).toEqual([0, 0, 0]);
  });

  it('lets nobody overtake who does not fit yet, and lets who is more urgent try at once', async () => {
    const { clock, log, enter, attempt } = setup();
    attempt.mockImplementation(({ amounts }) => (amounts[0] === 1 ? granted : refused(1_000)));
    enter('large', { amounts: [50] });
    enter('small');
    await clock.advance(500);
    enter('urgent', { priority: 4 });
    await clock.settle();
    expect(log).toEqual(['0 tries large', '500 tries urgent', '500 tries large', '500 urgent: granted']);
  });

  it('tries again at once when something has come back', async () => {
    const { clock, room, attempt, log, enter } = setup();
    enter('a');
    await clock.advance(300);
    attempt.mockReturnValueOnce(granted);
    room.wake('k');
    room.wake('another key');
    await clock.settle();
    expect(log).toEqual(['0 tries a', '300 tries a', '300 a: granted']);
    expect([room.keys, clock.pending]).toEqual([0, 0]);
  });

  it('looks again ever less often where the wait is an upper bound, and anew for the next one', async () => {
    const { clock, attempt, log, enter } = setup();
    attempt.mockImplementation(() => refused(1_775 - clock.now(), true));
    enter('a');
    enter('b');
    await clock.advance(1_774);
    expect(log.map((line) => Number.parseInt(line, 10))).toEqual([0, 25, 75, 175, 375, 775, 1_275]);
    attempt.mockReturnValueOnce(granted).mockReturnValue(refused(1_000, true));
    await clock.advance(101);
    expect(log.slice(7)).toEqual(['1775 tries a', '1775 tries b', '1775 a: granted', '1800 tries b', '1850 tries b']);
  });

  it.each(['memory', 'a store'])('refuses at the very instant of the deadline, with %s', async (where) => {
    const { clock, room, attempt, log, enter } = setup({ predictMs: (_, queued) => 10 * (queued[0] ?? 0) });
    if (where === 'a store') attempt.mockImplementation(async () => refused(1_000));
    enter('b', { deadline: 300 });
    const outcome = enter('a', { deadline: 200.5 });
    enter('c');
    await clock.advance(500);
    expect(await outcome).toEqual({ refused: 'deadline', predictedWaitMs: 20 });
    expect(log).toEqual(['0 tries b', '200.5 a: deadline', '300 tries c', '300 b: deadline']);
    expect(room.size).toBe(1);
  });

  it('grants what fits at the very instant of the deadline, and nothing later', async () => {
    const { clock, attempt, log, enter } = setup();
    enter('a', { deadline: 1_000 });
    enter('b', { deadline: 1_500 });
    await clock.advance(999);
    attempt.mockReturnValueOnce(granted);
    await clock.advance(1_000);
    expect(log.slice(1)).toEqual(['1000 tries a', '1000 tries b', '1000 a: granted', '1500 b: deadline']);
  });

  it('refuses at the door where the prediction is beyond the deadline, and asks nobody', async () => {
    const { log, enter, room } = setup({
      predictMs: ({ amounts }, queued) => 100 * ((queued[0] ?? 0) + (amounts[0] ?? 0)),
    });
    enter('a');
    enter('b');
    await expect(enter('c', { deadline: 299 })).resolves.toEqual({ refused: 'deadline', predictedWaitMs: 300 });
    void enter('d', { deadline: 300 });
    await expect(enter('e', { deadline: 99, key: 'l' })).resolves.toEqual({
      refused: 'deadline',
      predictedWaitMs: 100,
    });
    expect(room.size).toBe(3);
    expect(log.filter((line) => line.includes('tries'))).toEqual(['0 tries a']);
  });

  it('refuses when too many wait, for whichever keys', async () => {
    const { enter, room } = setup({ maxWaiting: 2, predictMs: () => 7 });
    enter('a');
    enter('b', { key: 'l' });
    await expect(enter('c')).resolves.toEqual({ refused: 'queue-full', predictedWaitMs: 7 });
    expect([room.size, room.sizeOf('k'), room.sizeOf('l'), room.sizeOf('m')]).toEqual([2, 1, 1, 0]);
  });

  it('lets an aborted waiter leave at once with its reason, and tries the next one', async () => {
    const { clock, room, attempt, log, enter } = setup();
    const controller = new AbortController();
    const left = enter('a', { signal: controller.signal });
    enter('b');
    attempt.mockReturnValue(granted);
    controller.abort(new Error('gone'));
    await expect(left).rejects.toThrow('gone');
    await expect(enter('c', { signal: controller.signal })).rejects.toThrow('gone');
    expect(log).toEqual(['0 tries a', '0 tries b', '0 a: gone', '0 b: granted', '0 c: gone']);
    expect([room.keys, clock.pending, getEventListeners(controller.signal, 'abort').length]).toEqual([0, 0, 0]);
  });

  it('tries who has become next because somebody else has left', async () => {
    const { clock, log, enter } = setup();
    enter('a');
    enter('b');
    enter('b', { amounts: [5], deadline: 100 });
    enter('a', { amounts: [2], deadline: 500 });
    // Of both tenants what is due earlier comes first. It is dear, and so b is behind a until it has left.
    await clock.advance(100);
    expect(log).toEqual(['0 tries a', '0 tries a', '100 tries b', '100 b: deadline']);
  });

  it('tries nobody whose signal is aborted already, though its listener has not been called yet', async () => {
    const { clock, room, attempt, log, enter } = setup();
    const controller = new AbortController();
    controller.signal.addEventListener('abort', () => room.wake('k'));
    enter('a', { signal: controller.signal });
    attempt.mockReturnValue(granted);
    controller.abort(new Error('gone'));
    await clock.settle();
    expect(log).toEqual(['0 tries a', '0 a: gone']);
  });

  it.each([
    ['aborted', 'gone', 50],
    ['past its deadline', 'deadline', 100],
  ])('gives back what arrives for one that is %s meanwhile', async (_, end, at) => {
    const { clock, room, attempt, giveBack, log, enter } = setup();
    const first = underWay();
    attempt.mockReturnValueOnce(first.promise);
    const controller = new AbortController();
    const wish = { signal: controller.signal, deadline: 100 };
    enter('a', wish);
    await clock.advance(50);
    if (end === 'gone') controller.abort(new Error('gone'));
    await clock.advance(50);
    enter('b');
    expect(log).toEqual(['0 tries a', `${at} a: ${end}`]);
    first.answer(granted);
    await clock.settle();
    expect(giveBack).toHaveBeenCalledExactlyOnceWith(expect.objectContaining(wish), 'granted');
    expect(log.slice(2)).toEqual(['100 tries b']);
    expect(room.size).toBe(1);
  });

  it('gives back what arrives after the deadline, even if the timer has not come to say so', async () => {
    let lateMs = 0;
    const { clock, attempt, giveBack, log, enter } = setup({}, () => lateMs);
    const first = underWay();
    attempt.mockReturnValueOnce(first.promise);
    enter('a', { deadline: 100 });
    lateMs = 101;
    first.answer(granted);
    await clock.settle();
    expect(giveBack).toHaveBeenCalledOnce();
    expect(log.at(-1)).toBe('0 a: deadline');
  });

  it('tries nobody after its deadline, even if the timer has not come to say so', async () => {
    let lateMs = 0;
    const { clock, room, log, enter } = setup({}, () => lateMs);
    enter('a', { deadline: 100 });
    lateMs = 101;
    room.wake('k');
    await clock.settle();
    expect(log).toEqual(['0 tries a', '0 a: deadline']);
  });

  it('lets nobody starve beside others that cost nothing', async () => {
    const { clock, attempt, log, enter } = setup();
    attempt.mockImplementation(({ tenant }) => {
      if (tenant === 'free' && log.length < 5_000) enter('free', { amounts: [0] });
      return clock.now() > 0 ? granted : refused(1_000);
    });
    enter('free', { amounts: [0] });
    enter('a', { amounts: [1] });
    await clock.advance(1_000);
    expect(log.findIndex((line) => line.includes('tries a'))).toBeLessThan(1_100);
  });

  it('has one attempt under way a key, and sees to whoever has become next when it ends', async () => {
    const { clock, room, attempt, log, enter } = setup();
    const first = underWay();
    attempt.mockReturnValueOnce(first.promise).mockReturnValueOnce(granted);
    enter('a');
    enter('b', { priority: 3 });
    room.wake('k');
    expect(log).toEqual(['0 tries a']);
    first.answer(refused(1_000));
    await clock.settle();
    expect(log).toEqual(['0 tries a', '0 tries b', '0 tries a', '0 b: granted']);
  });

  it('looks again soon after an attempt in the course of which it was woken', async () => {
    const { clock, room, attempt, log, enter } = setup();
    const first = underWay();
    attempt.mockReturnValueOnce(first.promise).mockReturnValueOnce(granted);
    enter('a');
    room.wake('k');
    first.answer(refused(1_000));
    await clock.advance(1);
    expect(log.at(-1)).toMatch(/a: granted$/);
  });

  it('may be woken and entered from within an attempt, for ever if need be', async () => {
    const { clock, room, attempt, log, enter } = setup();
    attempt.mockImplementation(({ tenant, key }) => {
      room.wake(key);
      if (tenant === 'a' && log.length === 1) enter('b', { priority: 1 });
      return tenant === 'a' ? refused(1_000) : granted;
    });
    enter('a');
    await clock.settle();
    expect(log).toEqual(['0 tries a', '0 tries b', '0 tries a', '0 b: granted']);
    await clock.advance(1);
    expect(clock.pending).toBe(1);
  });

  it.each(['throws', 'rejects'])('fails the wish alone whose attempt %s', async (how) => {
    const { clock, room, attempt, log, enter } = setup();
    enter('a');
    enter('b');
    attempt.mockImplementationOnce(() => {
      if (how === 'throws') throw new Error('broken');
      return Promise.reject(new Error('broken'));
    });
    await clock.advance(1_000);
    expect(log.slice(1).sort()).toEqual(['1000 a: broken', '1000 tries a', '1000 tries b']);
    expect(room.size).toBe(1);
  });

  it('waits for nothing but being woken where an attempt knows no wait', async () => {
    const { clock, room, attempt, log, enter } = setup();
    attempt.mockReturnValueOnce(refused(Number.POSITIVE_INFINITY)).mockReturnValueOnce(granted);
    enter('a');
    expect(clock.pending).toBe(0);
    room.wake('k');
    await clock.settle();
    expect(log.at(-1)).toBe('0 a: granted');
  });

  it('refuses everybody with WP_CLOSED once it is closed, and gives back what arrives after that', async () => {
    const { clock, room, attempt, giveBack, enter } = setup();
    const first = underWay();
    attempt.mockReturnValueOnce(first.promise);
    const ends = [enter('a'), enter('b'), enter('c', { key: 'l', deadline: 500 })];
    room.close();
    room.close();
    ends.push(enter('d'));
    for (const end of ends) await expect(end).rejects.toMatchObject({ code: 'WP_CLOSED' });
    expect([room.size, clock.pending]).toEqual([0, 0]);
    first.answer(granted);
    await clock.settle();
    expect(giveBack).toHaveBeenCalledOnce();
    expect(room.keys).toBe(0);
  });

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])('takes no tenant of weight %f', async (weight) => {
    const { room, enter } = setup({ weightOf: () => weight });
    await expect(enter('a')).rejects.toMatchObject({ code: 'WP_BAD_OPTION' });
    expect(room.keys).toBe(0);
  });
});
