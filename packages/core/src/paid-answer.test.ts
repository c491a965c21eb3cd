import { describe, expect, it, onTestFinished } from 'vitest';
import { type ChatOptions, createWarmpath, seededRandom, type WarmpathEvent } from './index.js';
import type { ChatChunk, ChatModel, ChatRequest, ModelCall } from './models/index.js';
import { collectAnswer, openai } from './models/index.js';
import { createFakeClock, memoryLimits, startModelServer } from './testing/index.js';

const text = (content: string): ChatChunk => ({ type: 'text', text: content });
const finish = (usage?: { inputTokens?: number; outputTokens?: number }): ChatChunk => ({
  type: 'finish',
  reason: 'stop',
  ...(usage && { usage }),
});
/** 20 tokens by our count: 64 characters, and 4 for the message. */
const ask = (content: string, more: Partial<ChatRequest> = {}): ChatRequest => ({
  messages: [{ role: 'user', content: content.padEnd(64) }],
  ...more,
});
const never = new Promise<never>(() => {});
const tokens = { limits: [{ unit: 'tokens', limit: 10_000, window: '1m' as const }] };

type Step = ChatChunk | Error | Promise<unknown>;

/** A model that says the same each time, or what a script says for each call. */
function scripted(name: string, ...scripts: Step[][]) {
  const seen = { calls: 0, closed: 0 };
  async function* stream(_: ChatRequest, { signal }: ModelCall = {}): AsyncGenerator<ChatChunk> {
    const script = scripts[Math.min(seen.calls++, scripts.length - 1)] ?? [];
    const aborted = new Promise<never>((_, reject) =>
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true }),
    );
    aborted.catch(() => {});
    try {
      for (const step of script) {
        if (step instanceof Promise) await Promise.race([step, aborted]);
        else if (step instanceof Error) throw step;
        else yield step;
      }
    } finally {
      seen.closed++;
    }
  }
  const model: ChatModel = { name, stream, generate: async (request, call) => collectAnswer(stream(request, call)) };
  return { model, seen };
}

function setUp(models: ChatOptions['models'], options: Partial<ChatOptions> = {}) {
  const clock = createFakeClock();
  const events: WarmpathEvent[] = [];
  const warmpath = createWarmpath({
    chat: { models, retry: { attempts: 2, baseDelay: 0 }, ...options },
    clock,
    random: seededRandom(3),
    onEvent: (event) => events.push(event),
  });
  const used = (name = 'm') => warmpath.snapshot().limiters[name]?.dimensions?.map((each) => each.used);
  return { clock, events, warmpath, chat: warmpath.chat, used };
}

/** Runs what waits on the fake clock. */
async function soon<T>(clock: ReturnType<typeof createFakeClock>, promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  for (let turn = 0; turn < 10; turn++) await clock.advance(0);
  return promise;
}

describe('an attempt at a model that has limits', () => {
  it('reserves what it is expected to cost, and pays what its server says that it has cost', async () => {
    const gate = Promise.withResolvers<void>();
    const { model } = scripted('m', [text('Hello'), gate.promise, finish({ inputTokens: 31, outputTokens: 7 })]);
    const { chat, used, warmpath } = setUp([{ model, limits: tokens }]);
    const answer = await chat.stream(ask('Hi?', { maxOutputTokens: 500 }));
    expect(used()).toEqual([520]);
    expect(warmpath.snapshot().limiters.m).toMatchObject({ reserved: 1 });
    gate.resolve();
    for await (const _ of answer.chunks);
    expect(used()).toEqual([38]);
    expect(warmpath.snapshot().limiters.m).toMatchObject({ allowed: 1, reserved: 0 });
  });

  it('pays by our own count where the server has none, or none that can be', async () => {
    for (const usage of [undefined, {}, { outputTokens: Number.NaN, inputTokens: -5 }, { outputTokens: 1 / 0 }]) {
      const { model } = scripted('m', [text('Hello you'), text(' there, you'), finish(usage)]);
      const { chat, used } = setUp([{ model, limits: tokens }]);
      expect(await chat.generate(ask('Hi?'))).toMatchObject({ text: 'Hello you there, you' });
      expect(used()).toEqual([25]);
    }
  });

  it('pays for each physical attempt, and nothing for an answer that is kept or shared', async () => {
    const limits = { limits: [{ limit: 10, window: '1m' as const }, ...tokens.limits] };
    const broken = scripted('m', [text('half'), new Error('reset')], [new Error('down')], [text('whole'), finish()]);
    const { chat, used, clock } = setUp([{ model: broken.model, limits }]);
    await expect(chat.generate(ask('Hi?'))).rejects.toThrow('reset');
    expect(used()).toEqual([1, 21]);
    const both = [chat.generate(ask('Hi?')), chat.generate(ask('Hi?'))];
    expect((await soon(clock, Promise.all(both))).map(({ layer }) => layer)).toEqual(['model', 'shared']);
    expect(used()).toEqual([3, 21 + 20 + 21.25]);
    await chat.generate(ask('Hi?'));
    expect(used()).toEqual([3, 62.25]);
  });

  it('keeps a place among those at the same time until the answer is complete', async () => {
    const gate = Promise.withResolvers<void>();
    const { model, seen } = scripted('m', [text('a'), gate.promise, finish()]);
    const other = scripted('other', [text('b'), finish()]);
    const limits = { limits: [{ concurrent: 1 }], timeout: 0 };
    const { chat } = setUp([
      { model, limits },
      { model: other.model, weight: 0 },
    ]);
    const first = await chat.stream(ask('one'));
    expect(await chat.generate(ask('two'))).toMatchObject({ model: 'other' });
    gate.resolve();
    for await (const _ of first.chunks);
    expect(await chat.generate(ask('three'))).toMatchObject({ model: 'm' });
    expect(seen.calls).toBe(2);
  });

  it.each([0, 1, 2])('pays what was used when its reader leaves after %i chunks, and ends the call', async (read) => {
    const { model, seen } = scripted('m', [text('four'), text('four'), text('four'), never]);
    for (const more of [{}, { temperature: 1 }]) {
      const { chat, used, clock, warmpath } = setUp([{ model, limits: tokens }]);
      const calls = seen.closed;
      const chunks = (await chat.stream(ask('Hi?', more))).chunks[Symbol.asyncIterator]();
      for (let count = 0; count < read; count++) await chunks.next();
      await chunks.return?.();
      await clock.settle();
      expect(seen.closed).toBe(calls + 1);
      expect(warmpath.snapshot().limiters.m).toMatchObject({ reserved: 0 });
      expect(used()?.[0]).toBeGreaterThanOrEqual(20 + Math.max(1, read));
      expect(used()?.[0]).toBeLessThanOrEqual(20 + 3); // a cache reads ahead
    }
  });

  it('learns how much the model answers, and reserves no more than that', async () => {
    const { model } = scripted('m', [text('short'), finish({ inputTokens: 20, outputTokens: 50 })]);
    const limits = { limits: [{ unit: 'tokens', limit: 1e9, window: '1m' as const }] };
    const { chat, events } = setUp([{ model, limits }], { cache: false });
    for (let call = 0; call < 300; call++) await chat.generate(ask('Hi?', { maxOutputTokens: 4_000 }));
    const settled = events.filter((event) => event.type === 'limiter.settled');
    expect(settled[0]?.reserved.tokens).toBe(4_020);
    expect(settled.at(-1)?.reserved.tokens).toBeLessThan(90);
    expect(settled.at(-1)?.reserved.tokens).toBeGreaterThanOrEqual(70);
  });

  it('counts for all processes where its limits have a store', async () => {
    const clock = createFakeClock();
    const store = memoryLimits({ clock });
    const limits = (its: typeof store) => ({ limit: 1, window: '1m' as const, store: its });
    const one = setUp([{ model: scripted('m', [finish()]).model, limits: limits(store) }]);
    const other = setUp([{ model: scripted('m', [finish()]).model, limits: limits(store.peer()) }]);
    await one.chat.generate(ask('Hi?'));
    await expect(other.chat.generate(ask('Hi?'))).rejects.toMatchObject({ code: 'WP_RATE_LIMITED' });
  });
});

describe('a model that has no room', () => {
  const oneAMinute = { limit: 1, window: '1m' as const };

  it('is waited for where that takes no longer than its timeout', async () => {
    const { model, seen } = scripted('m', [text('a'), finish()]);
    const { chat, clock } = setUp([{ model, limits: { limit: 1, window: '10s' } }]);
    await chat.generate(ask('one'));
    const second = chat.generate(ask('two'));
    await clock.advance(9_999);
    expect(seen.calls).toBe(1);
    await clock.advance(1);
    expect(await second).toMatchObject({ model: 'm' });
  });

  it('sends the question to the next one at once where it would take longer', async () => {
    const first = scripted('first', [text('a'), finish()]);
    const second = scripted('second', [text('b'), finish()]);
    const { chat, clock, events } = setUp([
      { model: first.model, limits: oneAMinute },
      { model: second.model, weight: 0 },
    ]);
    expect(await chat.generate(ask('one'))).toMatchObject({ model: 'first' });
    expect(await chat.generate(ask('two'))).toMatchObject({ model: 'second' });
    expect([clock.now(), clock.pending]).toEqual([0, 0]);
    expect(events).toContainEqual(
      expect.objectContaining({
        type: 'fallback.used',
        failed: 'first',
        error: expect.objectContaining({ code: 'WP_RATE_LIMITED' }),
      }),
    );
    await clock.advance(60_000);
    expect(await chat.generate(ask('two'))).toMatchObject({ model: 'first' }); // a substitute is not kept
  });

  it('fails the question with WP_RATE_LIMITED, and when to come back, where there is no other', async () => {
    const { model, seen } = scripted('m', [finish()]);
    const { chat } = setUp([{ model, limits: oneAMinute }]);
    await chat.generate(ask('one'));
    await expect(chat.generate(ask('two'))).rejects.toMatchObject({
      code: 'WP_RATE_LIMITED',
      message:
        "Model 'm' has no room for the request within its limits (requests/1m: 1, deadline). There will be in 60000 ms.",
      details: { model: 'm', dimension: 'requests/1m', reason: 'deadline', retryAfterMs: 60_000, retryable: false },
    });
    expect(seen.calls).toBe(1); // and no second attempt
  });

  it('is not asked for what is above its limits altogether', async () => {
    const { model, seen } = scripted('m', [finish()]);
    const { chat } = setUp([{ model, limits: { limits: [{ unit: 'inputTokens', limit: 100, window: '1m' }] } }]);
    const rejected = await chat.generate(ask('x'.repeat(1_000))).catch((error: unknown) => error);
    expect(rejected).toMatchObject({ code: 'WP_RATE_LIMITED', details: { reason: 'impossible' } });
    expect((rejected as { details: object }).details).not.toHaveProperty('retryAfterMs');
    expect(seen.calls).toBe(0);
  });

  it('is left at once by who is gone', async () => {
    const { model } = scripted('m', [finish()]);
    const { chat, clock, warmpath } = setUp([{ model, limits: { ...oneAMinute, timeout: '10m' } }]);
    await chat.generate(ask('one'));
    const leaving = new AbortController();
    const answer = chat.generate(ask('two'), { signal: leaving.signal });
    answer.catch(() => {});
    await clock.settle();
    expect(warmpath.snapshot().limiters.m).toMatchObject({ waiting: 1 });
    leaving.abort(new Error('left'));
    await expect(answer).rejects.toThrow('left');
    await clock.settle();
    expect(warmpath.snapshot().limiters.m).toMatchObject({ waiting: 0 });
    expect(clock.pending).toBe(0);
  });
});

describe('what a model’s server says of its limits', () => {
  async function simulated() {
    const server = await startModelServer({ reply: 'Hello you.' });
    onTestFinished(() => server.close());
    const model = openai({ model: 'tiny', baseUrl: server.openaiUrl, apiKey: 'none', name: 'm' });
    const limits = { limits: [{ limit: 100, window: '1m' as const }, ...tokens.limits] };
    const set = setUp([{ model, limits }], { cache: false, retry: { attempts: 1 } });
    const limiter = () => set.warmpath.snapshot().limiters.m;
    return { ...set, server, limiter };
  }

  it('is paid by its count: a complete answer', async () => {
    const { chat, used } = await simulated();
    await chat.generate(ask('Hi?'));
    expect(used()).toEqual([1, 7 + 2]);
  });

  it('halves the rate with each burst of 429, and gives the tokens of what was refused back', async () => {
    const { chat, server, limiter, used, clock } = await simulated();
    await clock.advance(1);
    server.fail({ status: 429, times: 3 });
    await Promise.allSettled([1, 2, 3].map((each) => chat.generate(ask(`${each}`))));
    expect(limiter()).toMatchObject({ rate: 0.5, lastChange: { from: 1, to: 0.5, why: 'status 429' } });
    expect(used()).toEqual([3, 0]);
    await clock.advance(1);
    server.fail({ status: 529 });
    await Promise.allSettled([chat.generate(ask('4'))]);
    expect(limiter()?.rate).toBe(0.25);
  });

  it.each([500, 503, 400, 401])('gives the tokens of a %i back as well, and leaves the rate alone', async (status) => {
    const { chat, server, limiter, used } = await simulated();
    server.fail({ status });
    await expect(chat.generate(ask('Hi?'))).rejects.toMatchObject({ code: 'WP_MODEL_REQUEST' });
    expect([used(), limiter()?.rate]).toEqual([[1, 0], 1]);
  });

  it('is heeded: until Retry-After has passed nothing is sent', async () => {
    const { chat, server, clock } = await simulated();
    server.fail({ status: 429, headers: { 'retry-after': '30' } });
    await expect(chat.generate(ask('1'))).rejects.toMatchObject({ code: 'WP_MODEL_REQUEST' });
    await expect(chat.generate(ask('2'))).rejects.toMatchObject({
      code: 'WP_RATE_LIMITED',
      details: { retryAfterMs: 30_000 },
    });
    expect(server.requests).toHaveLength(1);
    await clock.advance(22_000);
    const third = chat.generate(ask('3')); // near enough to be waited for
    await clock.advance(7_999);
    expect(server.requests).toHaveLength(1);
    await clock.advance(1);
    expect(await third).toMatchObject({ text: 'Hello you.' });
  });

  it('is heeded where it says that little is left of one of them', async () => {
    const { chat, server, clock } = await simulated();
    const headers = { 'x-ratelimit-remaining-tokens': '30', 'x-ratelimit-reset-tokens': '45s' };
    server.fail({ status: 500, headers });
    await expect(chat.generate(ask('1'))).rejects.toMatchObject({ code: 'WP_MODEL_REQUEST' });
    await expect(chat.generate(ask('2'))).rejects.toMatchObject({
      code: 'WP_RATE_LIMITED',
      details: { dimension: 'tokens/1m', retryAfterMs: 45_000 },
    });
    await clock.advance(45_000);
    expect(await chat.generate(ask('2'))).toMatchObject({ model: 'm' });
  });
});
