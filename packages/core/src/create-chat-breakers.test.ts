import { describe, expect, it } from 'vitest';
import { type ChatOptions, createWarmpath, problemOf } from './index.js';
import { type ChatChunk, type ChatModel, collectAnswer } from './models/index.js';
import { createFakeClock } from './testing/index.js';

const finish: ChatChunk = { type: 'finish', reason: 'stop' };
const text = (said: string): ChatChunk => ({ type: 'text', text: said });

/** A model that sends the same each time; an error in it is thrown there. */
function sending(name: string, ...script: readonly (ChatChunk | Error)[]) {
  const seen = { calls: 0 };
  async function* stream(): AsyncGenerator<ChatChunk> {
    seen.calls++;
    for (const step of script) {
      if (step instanceof Error) throw step;
      yield step;
    }
  }
  const model: ChatModel = { name, stream, generate: () => collectAnswer(stream()) };
  return { model, seen };
}

function setUp(models: ChatOptions['models'], options: Partial<ChatOptions> = {}) {
  const clock = createFakeClock();
  const chat: ChatOptions = { models, cache: false, retry: { attempts: 1 }, ...options };
  const warmpath = createWarmpath({ clock, random: () => 0, chat });
  const ask = () => warmpath.chat.generate({ messages: [{ role: 'user', content: 'Hi?' }] });
  return { clock, warmpath, ask };
}

describe('a model that fails again and again', () => {
  const down = () => new Error('down');

  it('is left alone for a while, and the next one answers at once; then it is tried again', async () => {
    const first = sending('first', down());
    const second = sending('second', text('Hello'), finish);
    const { ask, clock, warmpath } = setUp([first.model, { model: second.model, weight: 0 }]);
    for (let question = 0; question < 20; question++) expect(await ask()).toMatchObject({ model: 'second' });
    expect([first.seen.calls, second.seen.calls]).toEqual([5, 20]);
    expect(warmpath.breaker('first').state).toBe('open');
    await clock.advance(10_000);
    await ask();
    expect(first.seen.calls).toBe(6);
  });

  it('refuses at once where it is the only one, and says when to come back', async () => {
    const only = sending('only', down());
    const { ask } = setUp([only.model]);
    for (let question = 0; question < 5; question++) await expect(ask()).rejects.toThrow('down');
    const error = await ask().catch((each: unknown) => each);
    expect(error).toMatchObject({ code: 'WP_BREAKER_OPEN' });
    expect(problemOf(error)).toMatchObject({ status: 503, retryAfterMs: 10_000 });
    expect(only.seen.calls).toBe(5);
  });

  it('is one that breaks off after its first chunk as well', async () => {
    const cut = sending('cut', text('Hel'), down());
    const { ask, warmpath } = setUp([cut.model]);
    await expect(ask()).rejects.toThrow('down');
    expect(warmpath.breaker('cut').stats()).toMatchObject({ failures: 1 });
  });

  it('is asked each time without breakers, or opens as its options say', async () => {
    const first = sending('first', down());
    const second = sending('second', text('Hello'), finish);
    const models = [first.model, { model: second.model, weight: 0 }];
    const without = setUp(models, { breaker: false });
    for (let question = 0; question < 20; question++) await without.ask();
    expect(first.seen.calls).toBe(20);
    const soon = setUp(models, { breaker: { consecutive: 1 } });
    for (let question = 0; question < 20; question++) await soon.ask();
    expect(first.seen.calls).toBe(21);
    expect(() => setUp(models, { breaker: { consecutive: 0 } })).toThrow('createWarmpath() chat breaker');
  });
});
