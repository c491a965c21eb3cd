import { describe, expect, it, vi } from 'vitest';
import { createLedger, runInContext } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';
import {
  type AttemptEvent,
  type FallbackError,
  type FallbackEvent,
  type FallbackOptions,
  fallback,
  retry,
  type Step,
} from './index.js';

const works = (name: string): Step<string> => ({ name, run: vi.fn(async () => `from ${name}`) });
const fails = (name: string): Step<string> => ({ name, run: vi.fn(() => Promise.reject(new Error(`${name} failed`))) });
const hangs = (name: string): Step<string> => ({ name, run: vi.fn(() => new Promise<string>(() => {})) });

function setUp(options: FallbackOptions = {}) {
  const clock = createFakeClock();
  const events: (FallbackEvent | AttemptEvent)[] = [];
  const chain = fallback({ name: 'answer', clock, onEvent: (event) => events.push(event), ...options });
  return { clock, events, chain };
}

describe('fallback', () => {
  it('stays with the first step that works', async () => {
    const { chain } = setUp();
    const spare = works('b');
    expect(await chain([works('a'), spare])).toEqual({ value: 'from a', step: 'a', failures: [] });
    expect(spare.run).not.toHaveBeenCalled();
  });

  it('goes on step by step, in order, and says so', async () => {
    const { chain, events } = setUp();
    const last = works('d');
    expect(await chain([fails('a'), fails('b'), works('c'), last])).toEqual({
      value: 'from c',
      step: 'c',
      failures: [
        { step: 'a', error: new Error('a failed'), ms: 0 },
        { step: 'b', error: new Error('b failed'), ms: 0 },
      ],
    });
    expect(last.run).not.toHaveBeenCalled();
    const told = events.map((event) =>
      event.type === 'fallback.used'
        ? `${event.name}: ${event.failed} to ${event.next}`
        : `${event.number} ${event.kind} ${event.name} ${event.outcome}`,
    );
    expect(told).toEqual([
      '1 first a failed',
      'answer: a to b',
      '2 fallback b failed',
      'answer: b to c',
      '3 fallback c ok',
    ]);
  });

  it('throws what failed and why when nothing has worked, each error as it came', async () => {
    const { chain } = setUp();
    const error = (await chain([fails('a'), fails('b')]).catch((each) => each)) as FallbackError;
    expect(error).toBeInstanceOf(AggregateError);
    expect(error.message).toBe("All 2 steps of 'answer' were asked, and failed. 'a': a failed 'b': b failed");
    expect(error.errors).toEqual([new Error('a failed'), new Error('b failed')]);
    expect(error.failures.map(({ step }) => step)).toEqual(['a', 'b']);
    expect(error.cause).toBe(error.errors[1]);
  });

  it('gives each step its own time', async () => {
    const { chain, clock } = setUp();
    const outcome = chain([{ ...hangs('a'), timeout: '1s' }, { ...hangs('b'), timeout: '2s' }, works('c')]);
    await clock.advance(2_999);
    await clock.advance(1);
    expect(await outcome).toMatchObject({
      step: 'c',
      failures: [
        { step: 'a', ms: 1_000, error: { code: 'WP_DEADLINE' } },
        { step: 'b', ms: 2_000, error: { code: 'WP_DEADLINE' } },
      ],
    });
    expect(clock.pending).toBe(0);
  });

  it('begins no step after the deadline of the call', async () => {
    const { chain, clock } = setUp();
    const spare = works('b');
    const outcome = runInContext({ deadline: 1_000 }, () => chain([hangs('a'), spare]));
    outcome.catch(() => {});
    await clock.advance(1_000);
    await expect(outcome).rejects.toMatchObject({ failures: [{ step: 'a', error: { code: 'WP_DEADLINE' } }] });
    await expect(outcome).rejects.toThrow("1 of 2 steps of 'answer' were asked");
    await expect(runInContext({ deadline: 1_000 }, () => chain([spare]))).rejects.toMatchObject({
      code: 'WP_DEADLINE',
    });
    expect(spare.run).not.toHaveBeenCalled();
  });

  it('begins no step once the attempts of the call are spent, whoever made them', async () => {
    const { chain, clock } = setUp();
    const policy = retry({ clock, attempts: 2, baseDelay: 0 });
    const once = vi.fn(() => Promise.reject(new Error('down')));
    const steps = ['a', 'b', 'c', 'd'].map((name) => ({ name, run: () => policy(once) }));
    const outcome = runInContext({ ledger: createLedger(4) }, () => chain(steps));
    outcome.catch(() => {});
    await clock.advance(1_000);
    await expect(outcome).rejects.toMatchObject({ failures: { length: 2 } });
    expect(once).toHaveBeenCalledTimes(4);
  });

  it('counts an attempt once, also where a retry stands inside of a step', async () => {
    const { chain, clock, events } = setUp();
    const inner: AttemptEvent[] = [];
    const policy = retry({ name: 'b', clock, baseDelay: 0, onEvent: (event) => inner.push(event) });
    let tries = 0;
    const flaky = async () => {
      if (++tries < 2) throw new Error('not yet');
      return 'from b';
    };
    const outcome = chain([fails('a'), { name: 'b', run: (call) => policy(flaky, call) }]);
    await clock.advance(0);
    expect(await outcome).toMatchObject({ step: 'b' });
    expect(events.flatMap((event) => (event.type === 'attempt.ended' ? [event.number] : []))).toEqual([1]);
    expect(inner.map(({ number, kind, outcome: each }) => [number, kind, each])).toEqual([
      [2, 'fallback', 'failed'],
      [3, 'retry', 'ok'],
    ]);
  });

  it('goes on for the errors that `when` names; others are thrown as they came', async () => {
    const { chain } = setUp({ when: (error) => (error as Error).message.startsWith('a') });
    const last = works('c');
    await expect(chain([fails('a'), fails('b'), last])).rejects.toThrow(/^b failed$/);
    expect(last.run).not.toHaveBeenCalled();
  });

  it('takes what a policy before a step refuses as not sent: the budget is not asked', async () => {
    const budget = { deposit: vi.fn(), withdraw: vi.fn(() => true) };
    const { chain, events } = setUp({ budget });
    const open = () => Promise.reject(Object.assign(new Error('open'), { code: 'ECONNREFUSED' }));
    expect(await chain([{ ...works('a'), policy: open }, works('b')])).toMatchObject({ step: 'b' });
    expect(budget.withdraw).not.toHaveBeenCalled();
    expect(events[0]).toMatchObject({ type: 'attempt.ended', outcome: 'refused' });
  });

  it('stops where the budget refuses fallbacks', async () => {
    const { chain } = setUp({ budget: { deposit() {}, withdraw: (kind) => kind !== 'fallback' } });
    const spare = works('b');
    await expect(chain([fails('a'), spare])).rejects.toThrow("1 of 2 steps of 'answer' were asked, and failed.");
    expect(spare.run).not.toHaveBeenCalled();
  });

  it('ends with the reason of a caller who leaves, and begins nothing more', async () => {
    const { chain } = setUp();
    const caller = new AbortController();
    const spare = works('b');
    const outcome = chain([hangs('a'), spare], { signal: caller.signal });
    const reason = new Error('closed the tab');
    caller.abort(reason);
    await expect(outcome).rejects.toBe(reason);
    await expect(chain([spare], { signal: caller.signal })).rejects.toBe(reason);
    expect(spare.run).not.toHaveBeenCalled();
  });

  it('says what it can of whatever was thrown, also of what refuses to become text', async () => {
    const { chain } = setUp();
    const thrown = Object.create(null);
    const outcome = chain([{ name: 'a', run: () => Promise.reject(thrown) }]);
    await expect(outcome).rejects.toThrow("'a': something that has no text");
    await expect(outcome).rejects.toMatchObject({ errors: [thrown] });
  });

  it.each<[unknown, string]>([
    [[], "'steps' must be a list of at least one { name, run }"],
    [undefined, "'steps' must be"],
    [[{ name: 'a' }], "fallback() steps[0]: option 'run'"],
    [[{ name: 'a', run: () => 1, timeout: 'soon' }], "option 'timeout'"],
    [[{ name: '', run: () => 1 }], "option 'name'"],
    [[{ name: 'a', run: () => 1, retry: 3 }], "there is no option 'retry'"],
  ])('refuses the steps %j', async (steps, message) => {
    await expect(setUp().chain(steps as Step<string>[])).rejects.toThrow(message);
  });

  it('refuses bad options', () => {
    expect(() => fallback({ when: true } as never)).toThrow("'when'");
    expect(() => fallback({ steps: [] } as never)).toThrow("'steps'");
  });
});
