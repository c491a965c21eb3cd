import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type ChatOptions,
  createWarmpath,
  runInContext,
  seededRandom,
  WarmpathError,
  type WarmpathEvent,
} from './index.js';
import type { ChatChunk, ChatModel, ChatRequest, ModelCall } from './models/index.js';
import { collectAnswer } from './models/index.js';
import { createFakeClock, memoryStore } from './testing/index.js';

const text = (content: string): ChatChunk => ({ type: 'text', text: content });
const finish = (reason: 'stop' | 'length' = 'stop'): ChatChunk => ({
  type: 'finish',
  reason,
  usage: { outputTokens: 3 },
});
const ask = (content: string, more: Partial<ChatRequest> = {}): ChatRequest => ({
  messages: [{ role: 'user', content }],
  ...more,
});

/** What a model sends, one after another: a chunk, an error to throw, a promise to wait for (or until it is aborted). */
type Script = readonly (ChatChunk | Error | Promise<unknown>)[];

/** A model that follows a script for each call; the last script counts for all further calls. */
function scripted(name: string, ...scripts: Script[]) {
  const seen = { calls: 0, closed: 0, pulled: 0, signals: [] as AbortSignal[] };
  async function* stream(_: ChatRequest, { signal }: ModelCall = {}): AsyncGenerator<ChatChunk> {
    const script = scripts[Math.min(seen.calls++, scripts.length - 1)] ?? [];
    if (signal) seen.signals.push(signal);
    const aborted = new Promise<never>((_, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    aborted.catch(() => {});
    try {
      for (const step of script) {
        signal?.throwIfAborted();
        seen.pulled++;
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

const answering = (name: string, ...words: string[]) => scripted(name, [...words.map(text), finish()]);
const never = new Promise<never>(() => {});

function setUp(models: ChatOptions['models'], options: Partial<ChatOptions> = {}) {
  const clock = createFakeClock();
  const log: string[] = [];
  const onEvent = (event: WarmpathEvent): void => {
    const { level = '', reason = '', outcome = '', name = '', model = '' } = event as unknown as Record<string, string>;
    log.push([event.type, name || model, level || reason || outcome].filter(Boolean).join(' '));
  };
  const warmpath = createWarmpath({
    chat: { models, retry: { attempts: 2, baseDelay: 0 }, ...options },
    clock,
    random: seededRandom(3),
    onEvent,
  });
  return { clock, log, warmpath, chat: warmpath.chat };
}

async function read(answer: { chunks: AsyncIterable<ChatChunk> }): Promise<string> {
  let all = '';
  for await (const chunk of answer.chunks) if (chunk.type === 'text') all += chunk.text;
  return all;
}

/** Runs what waits on the fake clock until `promise` has settled. */
async function soon<T>(clock: ReturnType<typeof createFakeClock>, promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  for (let turn = 0; turn < 10; turn++) await clock.advance(0);
  return promise;
}

const unhandled: unknown[] = [];
const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
beforeEach(() => void process.on('unhandledRejection', onUnhandled));
afterEach(async () => {
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', onUnhandled);
  expect(unhandled.splice(0)).toEqual([]);
});

describe('a question', () => {
  it.each<[string, unknown, RegExp]>([
    ['nothing', undefined, /option 'messages' must be a list of 1 or more/],
    ['a text', 'hi', /option 'options' must be an object, got 'hi'/],
    ['no message', { messages: [] }, /option 'messages' must be a list of 1 or more/],
    ['a content that is no text', { messages: [{ role: 'user', content: 5 }] }, /content: string/],
    ['a role that does not exist', { messages: [{ role: 'bob', content: 'hi' }] }, /'system' \| 'user'/],
    ['a typing error', { ...ask('hi'), temprature: 1 }, /no option 'temprature'; did you mean 'temperature'/],
    ['a passage without text', { ...ask('hi'), passages: [{ id: 'a', title: 'A' }] }, /option 'passages' must be/],
  ])('that is %s is refused before any layer', async (_, request, words) => {
    const { model, seen } = answering('m', 'hi');
    const { chat, log } = setUp([model]);
    await expect(chat.stream(request as ChatRequest)).rejects.toThrow(words);
    await expect(chat.generate(request as ChatRequest)).rejects.toMatchObject({ code: 'WP_BAD_OPTION' });
    expect([seen.calls, log]).toEqual([0, []]);
  });
});

describe('the order of the layers', () => {
  it('asks the model once: the second identical question is answered from memory', async () => {
    const { model, seen } = answering('m', 'Hello ', 'world');
    const { chat, clock, log } = setUp([model]);
    const first = await chat.stream(ask('Hi?'));
    expect(first).toMatchObject({ layer: 'model', model: 'm', ageMs: 0 });
    expect(await read(first)).toBe('Hello world');
    await clock.advance(70);
    const second = await chat.stream(ask('Hi?'));
    expect(second).toMatchObject({ layer: 'memory', model: 'm', ageMs: 70 });
    expect(await read(second)).toBe('Hello world');
    expect(seen).toMatchObject({ calls: 1, closed: 1 });
    expect(log).toEqual([
      'cache.miss',
      'selector.ranked',
      'attempt.ended m ok',
      'model.answered m complete',
      'cache.computed',
      'cache.hit memory',
    ]);
  });

  it('serves one stream and one whole answer from one entry', async () => {
    const { model, seen } = answering('m', 'Hello');
    const { chat } = setUp([model]);
    expect(await chat.generate(ask('Hi?'))).toEqual({
      text: 'Hello',
      citations: [],
      reason: 'stop',
      usage: { outputTokens: 3 },
      layer: 'model',
      model: 'm',
      ageMs: 0,
    });
    expect(await read(await chat.stream(ask('Hi?')))).toBe('Hello');
    expect(seen.calls).toBe(1);
  });

  it('shares one model call among identical questions under way, from the first chunk on', async () => {
    const gate = Promise.withResolvers<void>();
    const { model, seen } = scripted('m', [text('slow '), gate.promise, text('answer'), finish()]);
    const { chat } = setUp([model]);
    const first = await chat.stream(ask('Hi?'));
    const others = await Promise.all(Array.from({ length: 20 }, () => chat.stream(ask('Hi?'))));
    expect([first.layer, ...new Set(others.map(({ layer }) => layer))]).toEqual(['model', 'shared']);
    gate.resolve();
    expect(new Set(await Promise.all([first, ...others].map(read)))).toEqual(new Set(['slow answer']));
    expect(seen).toMatchObject({ calls: 1, closed: 1 });
  });

  it('calls the model once for questions that come at the very same time', async () => {
    const { model, seen } = answering('m', 'one');
    const { chat } = setUp([model]);
    const answers = await Promise.all([1, 2, 3].map(() => chat.generate(ask('Hi?'))));
    expect(answers.map(({ layer }) => layer)).toEqual(['model', 'shared', 'shared']);
    expect(seen.calls).toBe(1);
  });

  it('counts what it did', async () => {
    const good = answering('good', 'fine');
    const bad = scripted('bad', [new Error('down')]);
    const rules: ChatOptions['rules'] = [
      { name: 'bad first', when: ({ messages }) => messages[0]?.content === 'bad', use: 'bad' },
      { name: 'good first', when: () => true, use: 'good' },
    ];
    const { chat, warmpath, clock } = setUp([good.model, bad.model], { rules });
    await chat.generate(ask('good'));
    await chat.generate(ask('good'));
    await soon(clock, chat.generate(ask('bad')));
    expect(warmpath.snapshot()).toMatchObject({
      caches: { chat: { hits: { memory: 1, store: 0, shared: 0 }, misses: 2, hitRate: 1 / 3 } },
      attempts: { good: { sent: 2, fallbacks: 1 }, bad: { sent: 2, retries: 1, failures: 2 } },
      fallbacks: { chat: { used: 1 } },
      models: {
        good: { calls: 2, failures: 0, aborted: 0, outputTokens: 6 },
        bad: { calls: 2, failures: 2, aborted: 0 },
      },
    });
  });
});

describe('a model that fails before its first chunk', () => {
  it('is tried again, and its answer is kept', async () => {
    const { model, seen } = scripted('m', [new Error('busy')], [text('ok'), finish()]);
    const { chat, clock, log } = setUp([model]);
    expect(await soon(clock, chat.generate(ask('Hi?')))).toMatchObject({ text: 'ok', layer: 'model' });
    expect(await chat.generate(ask('Hi?'))).toMatchObject({ layer: 'memory' });
    expect(seen.calls).toBe(2);
    expect(log.slice(0, 6)).toEqual([
      'cache.miss',
      'selector.ranked',
      'model.answered m failed',
      'attempt.ended m failed',
      'attempt.ended m ok',
      'model.answered m complete',
    ]);
  });

  it('is replaced after its attempts by the next one, whose answer is not kept', async () => {
    const first = scripted('first', [new Error('down')]);
    const second = answering('second', 'from the second');
    const { chat, clock, log } = setUp([
      { model: first.model, weight: 1 },
      { model: second.model, weight: 0 },
    ]);
    const answer = await soon(clock, chat.generate(ask('Hi?')));
    expect(answer).toMatchObject({ text: 'from the second', model: 'second', layer: 'model' });
    expect(first.seen.calls).toBe(2);
    expect(log).toContain('cache.unstored incomplete');
    expect(log.indexOf('fallback.used chat')).toBeGreaterThan(log.lastIndexOf('attempt.ended first failed'));
    await soon(clock, chat.generate(ask('Hi?')));
    expect([first.seen.calls, second.seen.calls]).toEqual([4, 2]);
  });

  it('counts as failed when it sends nothing at all, or only takes too long', async () => {
    const empty = scripted('empty', []);
    const slow = scripted('slow', [never, finish()]);
    const good = answering('good', 'fine');
    const rules = ['empty', 'slow'].map((name) => ({
      name,
      when: ({ messages }: ChatRequest) => messages[0]?.content === name,
      use: name,
    }));
    const { chat, clock } = setUp(
      [{ model: empty.model, weight: 0 }, { model: slow.model, weight: 0 }, { model: good.model }],
      { rules, retry: { attempts: 2, baseDelay: 0, timeout: '1s' } },
    );
    expect(await soon(clock, chat.generate(ask('empty')))).toMatchObject({ model: 'good' });
    expect(empty.seen.calls).toBe(2);
    const late = chat.generate(ask('slow'));
    await clock.advance(1_000);
    await clock.advance(1_000);
    expect(await soon(clock, late)).toMatchObject({ model: 'good' });
    expect(slow.seen).toMatchObject({ calls: 2, closed: 2 });
    expect(clock.pending).toBe(0);
  });

  it('is left for good: what an attempt gets after its time is closed', async () => {
    const gate = Promise.withResolvers<void>();
    let closed = 0;
    const deaf: ChatModel = {
      name: 'deaf',
      async *stream() {
        try {
          await gate.promise;
          yield text('too late');
        } finally {
          closed++;
        }
      },
      generate: () => Promise.reject(new Error('not asked')),
    };
    const { chat, clock } = setUp([{ model: deaf }, { model: answering('good', 'fine').model, weight: 0 }], {
      retry: { attempts: 1, timeout: '1s' },
    });
    const answer = chat.generate(ask('Hi?'));
    await clock.advance(1_000);
    expect(await soon(clock, answer)).toMatchObject({ text: 'fine', model: 'good' });
    gate.resolve();
    await clock.settle();
    expect(closed).toBe(1);
  });

  it('is replaced at once when it wants to be left alone for longer than anybody waits', async () => {
    const busy = Object.assign(new Error('quota'), { retryable: true, retryAfterMs: 3_600_000 });
    const first = scripted('first', [busy]);
    const second = answering('second', 'fine');
    const { chat, clock } = setUp([first.model, { model: second.model, weight: 0 }]);
    expect(await soon(clock, chat.generate(ask('Hi?')))).toMatchObject({ text: 'fine', model: 'second' });
    expect(first.seen.calls).toBe(1);
    expect(clock.pending).toBe(0);
  });

  it('is given up after a minute without a first chunk, where nobody says otherwise', async () => {
    const frozen = scripted('frozen', [never]);
    const second = answering('second', 'fine');
    const { chat, clock } = setUp([frozen.model, { model: second.model, weight: 0 }], { retry: { attempts: 1 } });
    const answer = chat.generate(ask('Hi?'));
    await clock.advance(59_999);
    expect(second.seen.calls).toBe(0);
    await clock.advance(1);
    expect(await answer).toMatchObject({ text: 'fine', model: 'second' });
  });

  it('is one of many that are asked in turn, and again as long as the budget has something left', async () => {
    const models = Array.from({ length: 7 }, (_, index) => scripted(`m${index}`, [new Error('down')]));
    const { chat, clock } = setUp(
      models.map(({ model }) => model),
      { retry: { attempts: 3, baseDelay: 0 } },
    );
    await expect(soon(clock, chat.generate(ask('Hi?')))).rejects.toThrow('down');
    // Ten further attempts, of which each model that is asked in place of another takes one where there is one.
    const calls = models.map(({ seen }) => seen.calls);
    expect(calls.toSorted()).toEqual([1, 1, 1, 2, 3, 3, 3]);
  });

  it('fails the question with the last error when there is no other', async () => {
    const { model } = scripted('m', [new Error('first')], [new Error('second')]);
    const { chat, clock, log } = setUp([model]);
    await expect(soon(clock, chat.stream(ask('Hi?')))).rejects.toThrow('second');
    expect(log.at(-1)).toBe('cache.failed');
  });

  it('fails every question that waits for the same answer, with one error', async () => {
    const { model, seen } = scripted('m', [new Error('down')]);
    const { chat, clock } = setUp([model], { retry: { attempts: 1 } });
    const outcomes = await soon(clock, Promise.allSettled([1, 2, 3].map(() => chat.generate(ask('Hi?')))));
    expect(outcomes.map((outcome) => outcome.status === 'rejected' && outcome.reason.message)).toEqual(
      Array(3).fill('down'),
    );
    expect(seen.calls).toBe(1);
  });
});

describe('a model that fails after its first chunk', () => {
  it('fails for the reader, is neither tried again nor replaced, and nothing is kept', async () => {
    const first = scripted('first', [text('half '), new Error('reset')]);
    const second = answering('second', 'other words');
    const { chat, log } = setUp([{ model: first.model }, { model: second.model, weight: 0 }]);
    const answer = await chat.stream(ask('Hi?'));
    const seen: string[] = [];
    await expect(
      (async () => {
        for await (const chunk of answer.chunks) seen.push(chunk.type);
      })(),
    ).rejects.toThrow('reset');
    expect(seen).toEqual(['text']);
    expect([first.seen.calls, second.seen.calls]).toEqual([1, 0]);
    expect(log).toEqual([
      'cache.miss',
      'selector.ranked',
      'attempt.ended first ok',
      'model.answered first failed',
      'cache.failed',
    ]);
    await expect(chat.generate(ask('Hi?'))).rejects.toThrow('reset');
    expect(first.seen.calls).toBe(2);
  });

  it('in another process, whose answer is lost with it, is asked again by those who have seen nothing of it', async () => {
    const lost = new WarmpathError('WP_STREAM_LOST', 'Its process is gone.');
    const { model } = scripted('first', [text('half an'), lost], [text('whole'), finish()]);
    const { warmpath } = setUp([model]);
    expect(await warmpath.chat.generate(ask('?'))).toMatchObject({ text: 'whole' });
    const { model: dying, seen } = scripted('dying', [text('half an'), lost]);
    await expect(setUp([dying]).warmpath.chat.generate(ask('?'))).rejects.toBe(lost);
    expect(seen.calls).toBe(2);
  });

  it('fails as well when it just stops, without its finish chunk', async () => {
    const { model, seen } = scripted('m', [text('half')]);
    const { chat } = setUp([model]);
    await expect(read(await chat.stream(ask('Hi?')))).rejects.toMatchObject({ code: 'WP_STREAM_INCOMPLETE' });
    await expect(chat.generate(ask('Hi?'))).rejects.toMatchObject({ code: 'WP_STREAM_INCOMPLETE' });
    expect(seen.calls).toBe(2);
  });
});

describe('what is kept', () => {
  it('is no answer that was cut short', async () => {
    const { model, seen } = scripted('m', [text('cut'), finish('length')], [text('whole'), finish()]);
    const { chat } = setUp([model]);
    expect(await chat.generate(ask('Hi?'))).toMatchObject({ text: 'cut', reason: 'length' });
    expect(await chat.generate(ask('Hi?'))).toMatchObject({ text: 'whole', layer: 'model' });
    expect(await chat.generate(ask('Hi?'))).toMatchObject({ text: 'whole', layer: 'memory' });
    expect(seen.calls).toBe(2);
  });

  it('is no answer that was asked for its variety, nor is one shared; with a seed it is', async () => {
    const { model, seen } = answering('m', 'dice');
    const { chat, log } = setUp([model]);
    const sampled = ask('Roll!', { temperature: 0.8 });
    const answers = await Promise.all([chat.generate(sampled), chat.generate(sampled)]);
    expect(answers.map(({ layer }) => layer)).toEqual(['model', 'model']);
    expect(seen.calls).toBe(2);
    expect(log.filter((line) => line.startsWith('cache'))).toEqual([]);
    const seeded = ask('Roll!', { temperature: 0.8, seed: 4 });
    await chat.generate(seeded);
    expect(await chat.generate(seeded)).toMatchObject({ layer: 'memory' });
    await chat.generate(ask('Roll!', { temperature: 0 }));
    expect(await chat.generate(ask('Roll!', { temperature: 0 }))).toMatchObject({ layer: 'memory' });
  });

  it('is nothing where the cache is switched off', async () => {
    const { model, seen } = answering('m', 'fresh');
    const { chat } = setUp([model], { cache: false });
    await chat.generate(ask('Hi?'));
    expect(await chat.generate(ask('Hi?'))).toMatchObject({ layer: 'model' });
    expect(seen.calls).toBe(2);
  });

  it('belongs to all that makes the question: passages, earlier messages, limits, tenant', async () => {
    const { model, seen } = answering('m', 'x');
    const { chat } = setUp([model]);
    const passage = { id: '1', title: 'Pools', text: 'A pool has 16 connections.' };
    const questions: ChatRequest[] = [
      ask('How many?', { passages: [passage] }),
      ask('How many?', { passages: [{ ...passage, text: 'A pool has 8 connections.' }] }),
      ask('How many?', { passages: [{ ...passage, title: 'Agents' }] }),
      ask('How many?', { passages: [] }),
      ask('How many?'),
      ask('How many? '),
      ask('How many?', { maxOutputTokens: 10 }),
      ask('How many?', { stop: ['.'] }),
      ask('How many?', { images: [new Uint8Array([1])] }),
      {
        messages: [
          { role: 'system', content: 'Be brief.' },
          { role: 'user', content: 'How many?' },
        ],
      },
    ];
    for (const question of questions) expect(await chat.generate(question)).toMatchObject({ layer: 'model' });
    for (const question of questions) expect(await chat.generate(question)).toMatchObject({ layer: 'memory' });
    for (const tenant of ['acme', 'globex']) {
      const answer = await runInContext({ tenant }, () => chat.generate(ask('How many?')));
      expect(answer.layer).toBe('model');
    }
    expect(seen.calls).toBe(questions.length + 2);
  });

  it('belongs to a version of the model: another one is asked, also where the store has outlived it', async () => {
    const store = memoryStore();
    const answered = async (word: string, version?: string): Promise<string> => {
      const { model } = answering('m', word);
      const { warmpath } = setUp([version === undefined ? model : { ...model, version }], { cache: { store } });
      const { layer, text } = await warmpath.chat.generate(ask('hi'));
      await warmpath.close();
      return `${layer}: ${text}`;
    };
    expect(await answered('old')).toBe('model: old');
    expect(await answered('new', '1')).toBe('model: new');
    expect(await answered('newer', '2')).toBe('model: newer');
    expect(await answered('newest', '2')).toBe('store: newer');
    expect(await answered('newest')).toBe('store: old');
  });

  it('is the same for requests that say the same in another order', async () => {
    const { model } = answering('m', 'x');
    const { chat } = setUp([model]);
    await chat.generate({ seed: 1, messages: [{ role: 'user', content: 'a' }] });
    expect(await chat.generate({ messages: [{ content: 'a', role: 'user' }], seed: 1 })).toMatchObject({
      layer: 'memory',
    });
  });
});

describe.each([
  ['cached', {}],
  ['uncached', { temperature: 1 }],
])('leaving an answer that is %s', (kind, more) => {
  it('ends the call upstream with the last reader, in the middle of a chunk', async () => {
    const { model, seen } = scripted('m', [text('a'), never, finish()]);
    const { chat, clock, warmpath } = setUp([model]);
    const leaving = new AbortController();
    const chunks = (await chat.stream(ask('Hi?', more), { signal: leaving.signal })).chunks[Symbol.asyncIterator]();
    await chunks.next();
    const next = chunks.next();
    next.catch(() => {});
    await clock.settle();
    expect(seen.closed).toBe(0);
    const reason = new Error('closed the tab');
    leaving.abort(reason);
    await expect(next).rejects.toBe(reason);
    await clock.settle();
    expect(seen.closed).toBe(1);
    expect(seen.signals[0]?.aborted).toBe(true);
    expect(warmpath.snapshot().models.m).toMatchObject({ calls: 1, failures: 0, aborted: 1 });
    expect(clock.pending).toBe(0);
  });

  it.each([0, 1])('closes the call upstream after %i chunks have been read', async (chunks) => {
    const { model, seen } = scripted('m', [text('a'), text('b'), finish()]);
    const { chat, clock, warmpath } = setUp([model]);
    const reader = (await chat.stream(ask('Hi?', more))).chunks[Symbol.asyncIterator]();
    for (let read = 0; read < chunks; read++) await reader.next();
    await reader.return?.();
    await clock.settle();
    expect(seen).toMatchObject({ calls: 1, closed: 1 });
    expect(warmpath.snapshot().models.m).toMatchObject({ calls: 1, failures: 0, aborted: 1 });
    expect(await chat.generate(ask('Hi?', more))).toMatchObject({ layer: 'model' });
  });

  it('before the first chunk ends the attempt with the reader’s own reason, and no other begins', async () => {
    const { model, seen } = scripted('m', [never, finish()]);
    const { chat, clock } = setUp([model, answering('other', 'x').model], {
      rules: [{ name: 'm', when: () => true, use: 'm' }],
      retry: { attempts: 3, timeout: '1m' },
    });
    const leaving = new AbortController();
    const answer = chat.stream(ask('Hi?', more), { signal: leaving.signal });
    answer.catch(() => {});
    await clock.settle();
    const reason = new Error('closed the tab');
    leaving.abort(reason);
    await expect(answer).rejects.toBe(reason);
    await clock.advance(60_000);
    expect(seen).toMatchObject({ calls: 1, closed: 1 });
    expect(clock.pending).toBe(0);
  });

  it('comes with the context: its signal, its deadline', async () => {
    for (const end of ['signal', 'deadline'] as const) {
      const { model, seen } = scripted('m', [text('a'), never, finish()]);
      const { chat, clock } = setUp([model]);
      const request = new AbortController();
      const context = end === 'signal' ? { signal: request.signal } : { deadline: 500 };
      const answer = runInContext(context, () => chat.generate(ask('Hi?', more)));
      answer.catch(() => {});
      await clock.settle();
      if (end === 'signal') request.abort(new Error('client left'));
      else await clock.advance(500);
      await expect(answer).rejects.toThrow(end === 'signal' ? 'client left' : 'took longer');
      await clock.settle();
      expect(seen.closed).toBe(1);
      expect(clock.pending).toBe(0);
    }
  });

  it(`leaves no listener on a signal that lives longer than 200 ${kind} answers`, async () => {
    const { model } = answering('m', 'x');
    const { chat, clock } = setUp([model], { retry: { attempts: 2, timeout: '1m' } });
    const shutdown = new AbortController();
    for (let call = 0; call < 200; call++) {
      await runInContext({ signal: shutdown.signal, deadline: 1e9 }, () => chat.generate(ask(`${call}`, more)));
      await chat.generate(ask(`${call}`, more), { signal: shutdown.signal });
    }
    expect(getEventListeners(shutdown.signal, 'abort')).toHaveLength(0);
    expect(clock.pending).toBe(0);
  });
});

describe('leaving a shared answer', () => {
  it('does not end it for the others', async () => {
    const gate = Promise.withResolvers<void>();
    const { model, seen } = scripted('m', [text('a'), gate.promise, text('b'), finish()]);
    const { chat, clock } = setUp([model]);
    const leaving = new AbortController();
    const first = await chat.stream(ask('Hi?'), { signal: leaving.signal });
    const second = await chat.stream(ask('Hi?'));
    const left = read(first);
    left.catch(() => {});
    await clock.settle();
    leaving.abort();
    await expect(left).rejects.toMatchObject({ name: 'AbortError' });
    expect(seen).toMatchObject({ calls: 1, closed: 0 });
    gate.resolve();
    expect(await read(second)).toBe('ab');
    expect(await chat.generate(ask('Hi?'))).toMatchObject({ layer: 'memory' });
  });
});

describe('which model answers', () => {
  it('is one that can take the request, or none', async () => {
    const eyes = answering('eyes', 'I see');
    const { chat } = setUp([{ model: eyes.model, when: ({ images }) => (images?.length ?? 0) > 0 }]);
    expect(await chat.generate(ask('What?', { images: [new Uint8Array([1])] }))).toMatchObject({ model: 'eyes' });
    await expect(chat.generate(ask('What?'))).rejects.toMatchObject({ code: 'WP_NO_BACKEND' });
  });

  it('is a model object whatever other properties it has', async () => {
    const { model } = answering('m', 'x');
    const { chat } = setUp([Object.assign(model, { model: 'llama3.2', weight: 'heavy' })]);
    expect(await chat.generate(ask('Hi?'))).toMatchObject({ model: 'm' });
  });
});
