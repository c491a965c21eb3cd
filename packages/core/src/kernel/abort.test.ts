import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createFakeClock } from '../testing/index.js';
import { abortReason, deadlineError, linkAbort, untilAborted, wait } from './index.js';

const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;

const unhandled = vi.fn();
beforeEach(() => void process.on('unhandledRejection', unhandled));
afterEach(() => {
  process.off('unhandledRejection', unhandled);
  unhandled.mockReset();
});

/** Long enough for the runtime to report a rejection that nobody handles. */
const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
};

describe('abortReason', () => {
  it('gives the error that the signal was aborted with', () => {
    const reason = new TypeError('gone');
    expect(abortReason(AbortSignal.abort(reason))).toBe(reason);
    expect(abortReason(AbortSignal.abort())).toMatchObject({ name: 'AbortError' });
  });

  it.each([
    ['a text', 'stopped', 'stopped'],
    ['a number', 0, '0'],
    ['null', null, 'Aborted'],
    ['an object that cannot become text', Object.create(null), 'Aborted'],
    ['a symbol', Symbol('why'), 'Symbol(why)'],
  ])('makes an AbortError of %s, and keeps it as the cause', (_, reason, message) => {
    const error = abortReason(AbortSignal.abort(reason));
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name: 'AbortError', message });
    expect(error.cause).toBe(reason);
  });
});

describe('untilAborted', () => {
  it('gives the outcome of the promise and leaves no listener', async () => {
    const { signal } = new AbortController();
    await expect(untilAborted(Promise.resolve(5), signal)).resolves.toBe(5);
    await expect(untilAborted(Promise.reject(new Error('no')), signal)).rejects.toThrow('no');
    await expect(untilAborted(Promise.resolve(5), undefined)).resolves.toBe(5);
    expect(listeners(signal)).toBe(0);
  });

  it('rejects with the reason at once, and leaves no listener', async () => {
    const controller = new AbortController();
    const waiting = untilAborted(new Promise(() => {}), controller.signal);
    expect(listeners(controller.signal)).toBe(1);
    controller.abort(new Error('left'));
    await expect(waiting).rejects.toThrow('left');
    expect(listeners(controller.signal)).toBe(0);
  });

  it.each(['before', 'after'])('lets no failure go unhandled that comes after an abort %s the call', async (when) => {
    const controller = new AbortController();
    let fail = (_: Error): void => {};
    const late = new Promise<never>((_, reject) => {
      fail = reject;
    });
    if (when === 'before') controller.abort(new Error('left'));
    const waiting = untilAborted(late, controller.signal);
    if (when === 'after') controller.abort(new Error('left'));
    await expect(waiting).rejects.toThrow('left');
    fail(new Error('late'));
    await turns();
    expect(unhandled).not.toHaveBeenCalled();
    expect(listeners(controller.signal)).toBe(0);
  });

  it('keeps no listener however many wait on one signal', async () => {
    const { signal } = new AbortController();
    await Promise.all(Array.from({ length: 100 }, (_, index) => untilAborted(Promise.resolve(index), signal)));
    expect(listeners(signal)).toBe(0);
  });
});

describe('wait', () => {
  it('resolves after the delay, and leaves neither timer nor listener', async () => {
    const clock = createFakeClock();
    const { signal } = new AbortController();
    let done = false;
    const waiting = wait(clock, 100, signal).then(() => {
      done = true;
    });
    await clock.advance(99);
    expect(done).toBe(false);
    await clock.advance(1);
    await waiting;
    expect(clock.pending).toBe(0);
    expect(listeners(signal)).toBe(0);
  });

  it('rejects with the reason, and leaves neither timer nor listener', async () => {
    const clock = createFakeClock();
    const controller = new AbortController();
    const waiting = wait(clock, 100, controller.signal);
    controller.abort(new Error('left'));
    await expect(waiting).rejects.toThrow('left');
    expect(clock.pending).toBe(0);
    expect(listeners(controller.signal)).toBe(0);
  });

  it('sets no timer for a signal that is aborted already', async () => {
    const clock = createFakeClock();
    await expect(wait(clock, 100, AbortSignal.abort(new Error('left')))).rejects.toThrow('left');
    expect(clock.pending).toBe(0);
  });
});

describe('linkAbort', () => {
  it('follows the first parent that is aborted, with its reason', () => {
    const first = new AbortController();
    const second = new AbortController();
    const link = linkAbort({ parents: [first.signal, undefined, second.signal] });
    second.abort('second');
    first.abort('first');
    expect(link.signal.reason).toBe('second');
  });

  it('is aborted from the start when a parent is, and listens to nothing', () => {
    const clock = createFakeClock();
    const live = new AbortController();
    const link = linkAbort({ parents: [live.signal, AbortSignal.abort('gone')], timeoutMs: 5, clock });
    expect(link.signal.reason).toBe('gone');
    expect(listeners(live.signal)).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it('runs into its deadline with the numbers that explain it', async () => {
    const clock = createFakeClock();
    const parent = new AbortController();
    const link = linkAbort({ parents: [parent.signal], timeoutMs: 250, clock, what: "The answer of model 'x'" });
    await clock.advance(249);
    expect(link.signal.aborted).toBe(false);
    await clock.advance(1);
    expect(link.signal.reason).toMatchObject({
      code: 'WP_DEADLINE',
      message: "The answer of model 'x' took longer than the 250 ms that it has.",
      details: { timeoutMs: 250 },
    });
    expect(listeners(parent.signal)).toBe(0);
  });

  it.each(['its owner', 'a parent'])('lets go of parents and timer when %s aborts it', (who) => {
    const clock = createFakeClock();
    const parent = new AbortController();
    const other = new AbortController();
    const link = linkAbort({ parents: [parent.signal, other.signal], timeoutMs: 60_000, clock });
    if (who === 'a parent') parent.abort();
    else link.abort();
    expect(link.signal.aborted).toBe(true);
    expect([listeners(parent.signal), listeners(other.signal), clock.pending]).toEqual([0, 0, 0]);
  });

  it('lets go of parents and timer when it is released, as often as one likes, and stays as it is', async () => {
    const clock = createFakeClock();
    const parent = new AbortController();
    const link = linkAbort({ parents: [parent.signal], timeoutMs: 5, clock });
    link.release();
    link.release();
    parent.abort();
    await clock.advance(10);
    expect(link.signal.aborted).toBe(false);
    expect([listeners(parent.signal), clock.pending]).toEqual([0, 0]);
    link.abort('late');
    expect(link.signal.reason).toBe('late');
  });

  it('sets no timer for a time without end', () => {
    const clock = createFakeClock();
    linkAbort({ timeoutMs: Number.POSITIVE_INFINITY, clock });
    linkAbort({ timeoutMs: undefined, clock });
    expect(clock.pending).toBe(0);
  });

  it('keeps a deadline on the system clock when it is given none', () => {
    vi.useFakeTimers();
    const link = linkAbort({ timeoutMs: 50 });
    vi.advanceTimersByTime(50);
    expect(link.signal.reason).toMatchObject({ code: 'WP_DEADLINE' });
    vi.useRealTimers();
  });

  it('leaves nothing behind after any order of events', async () => {
    const event = fc.constantFrom('first', 'second', 'own', 'release', 'tick');
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: 6 }), async (events) => {
        const clock = createFakeClock();
        const parents = { first: new AbortController(), second: new AbortController() };
        const link = linkAbort({ parents: [parents.first.signal, parents.second.signal], timeoutMs: 10, clock });
        let expected: unknown;
        let released = false;
        for (const name of events) {
          if (name === 'tick') await clock.advance(10);
          else if (name === 'own') link.abort(name);
          else if (name === 'release') link.release();
          else parents[name].abort(name);
          if (expected === undefined && (name === 'own' || (!released && name !== 'release'))) expected = name;
          if (name === 'release' || expected !== undefined) released = true;
        }
        expect(link.signal.aborted).toBe(expected !== undefined);
        if (expected === 'tick') expect(link.signal.reason).toMatchObject({ code: 'WP_DEADLINE' });
        else if (expected !== undefined) expect(link.signal.reason).toBe(expected);
        link.release();
        expect([listeners(parents.first.signal), listeners(parents.second.signal), clock.pending]).toEqual([0, 0, 0]);
      }),
    );
  });
});

describe('deadlineError', () => {
  it('rounds what people read and keeps what programs read', () => {
    expect(deadlineError('The call', 12.4)).toMatchObject({
      message: 'The call took longer than the 12 ms that it has.',
      details: { timeoutMs: 12.4 },
    });
  });
});
