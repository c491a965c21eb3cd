import { afterEach, describe, expect, it, vi } from 'vitest';
import { createFakeClock } from '../testing/index.js';
import { type AttemptEvent, breaker, fallback, firstChunk, retry } from './index.js';

const clock = createFakeClock();
const down = new Error('down');
const judge = () => {
  throw new Error('misjudged');
};
const isDown = () => Promise.reject(down);

function warnings() {
  return vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
}

afterEach(() => vi.restoreAllMocks());

describe('a function of the application that fails while it judges an error', () => {
  it('of retry() leaves the usual answer, and is said once', async () => {
    const warned = warnings();
    const events: AttemptEvent[] = [];
    const policy = retry({
      name: 'gpt',
      clock,
      baseDelay: 0,
      retryable: judge,
      onEvent: (event) => events.push(event),
    });
    const outcome = policy(isDown);
    outcome.catch(() => {});
    await clock.advance(0);
    await expect(outcome).rejects.toBe(down);
    expect(events).toHaveLength(3);
    expect(warned.mock.calls).toEqual([
      ["The function 'retryable' of 'gpt' failed: misjudged", { code: 'WARMPATH_PREDICATE' }],
    ]);
  });

  it('of fallback() lets the next step be asked', async () => {
    warnings();
    const chain = fallback({ clock, when: judge });
    const steps = [
      { name: 'a', run: isDown },
      { name: 'b', run: () => 'from b' },
    ];
    expect(await chain<string>(steps)).toMatchObject({ value: 'from b', failures: [{ step: 'a', error: down }] });
  });

  it('of breaker() loses no error and no probe, and does not end the process when a stream breaks off', async () => {
    warnings();
    const policy = breaker({ clock, isFailure: judge });
    await expect(policy(isDown)).rejects.toBe(down);
    const stream = await policy(
      firstChunk(async function* () {
        yield 1;
        throw down;
      }),
    );
    await expect(Array.fromAsync(stream)).rejects.toBe(down);
    await clock.settle();
    expect(policy.stats()).toMatchObject({ failures: 2, calls: 3 });
  });
});
