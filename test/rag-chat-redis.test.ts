import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ModelServer, startModelServer } from '@warmpath/core/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { type ExampleProgram, runExample, startExample } from './example-programs.js';
import { type OwnRedis, startOwnRedis, steadyPort, until, whyNoOwnRedis } from './redis-servers.js';

// The built RAG chat, in processes of its own, on a real Redis of ours. The language model is SIMULATED: a server that speaks
// OpenAI's protocol and says a fixed text, one word at a time.

const note = whyNoOwnRedis();
const words = Array.from({ length: 40 }, (_, index) => `word${index}`).join(' ');
const reply = `It is **180 degrees** [1]. ${words}`;
/** An answer takes two seconds. */
const msPerChunk = 45;

let docs = '';
let redis: OwnRedis;
beforeAll(async () => {
  docs = mkdtempSync(join(tmpdir(), 'warmpath-rag-redis-'));
  writeFileSync(join(docs, 'ovens.md'), '# Ovens\n\nThe default temperature of an oven is 180 degrees.\n');
  if (!note) redis = await startOwnRedis();
});
afterAll(async () => {
  await redis?.kill();
  rmSync(docs, { recursive: true, force: true });
});
beforeEach(async ({ skip }) => {
  skip(note !== undefined, note);
  await redis.restart();
});

async function startModel(): Promise<ModelServer> {
  const model = await startModelServer({ reply, msPerChunk });
  onTestFinished(() => model.close());
  return model;
}

function startChat(
  model?: ModelServer,
  url: string = redis.url,
  more: Readonly<Record<string, string>> = {},
): Promise<ExampleProgram> {
  const env: Record<string, string> = model
    ? { OPENAI_BASE_URL: model.openaiUrl, OPENAI_API_KEY: 'none', OPENAI_MODEL: 'tiny' }
    : {};
  return startExample('rag-chat', { DOCS_DIR: docs, REDIS_URL: url, ...env, ...more });
}

interface Streamed {
  readonly layer: string;
  readonly text: string;
  /** How many pieces it came in. */
  readonly pieces: number;
  /** When the first and the last of them came. */
  readonly firstAt: number;
  readonly lastAt: number;
}

interface Asked {
  readonly begun: Promise<void>;
  readonly answer: Promise<Streamed>;
}

const question = 'What is the default temperature of an oven?';
let questions = 0;
/** About the same passage, for the model to answer. */
const newQuestion = (): string => `${question} (${questions++})`;

/** Asks for a stream. */
function ask({ url }: ExampleProgram, question: string): Asked {
  const { promise: begun, resolve: begin, reject } = Promise.withResolvers<void>();
  begun.catch(() => {}); // not everybody waits for it
  const read = async (): Promise<Streamed> => {
    const response = await fetch(`${url}/api/chat`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify({ question }),
    });
    const times: number[] = [];
    let layer = '';
    let text = '';
    for await (const { event, data } of eventsOf(response)) {
      if (event === 'meta') layer = String(data.layer);
      if (event === 'error') throw new Error(`The answer ended with an error: ${JSON.stringify(data)}`);
      if (event === 'text') {
        text += data.text;
        times.push(performance.now());
        begin();
      }
      if (event === 'done') {
        return { layer, text, pieces: times.length, firstAt: times[0] ?? 0, lastAt: times.at(-1) ?? 0 };
      }
    }
    throw new Error(`The answer ended with status ${response.status} after '${text}'`);
  };
  const answer = read();
  answer.catch(reject);
  return { begun, answer };
}

async function* eventsOf(response: Response): AsyncGenerator<{ event: string; data: Record<string, unknown> }> {
  let rest = '';
  for await (const part of (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
    const whole = (rest + part).split('\n\n');
    rest = whole.pop() ?? '';
    for (const message of whole) {
      const event = /^event: (.*)$/m.exec(message)?.[1];
      const data = /^data: (.*)$/m.exec(message)?.[1];
      if (event && data) yield { event, data: JSON.parse(data) as Record<string, unknown> };
    }
  }
}

/** Who has answered. */
async function modelOf(chat: ExampleProgram, question: string): Promise<unknown> {
  return ((await askWhole(chat, question)) as { model: unknown }).model;
}

interface Standing {
  readonly allowed: number;
  readonly refused: number;
  readonly decidedBy: Readonly<Record<string, number>>;
}

async function limiterOf({ url }: ExampleProgram, name: string): Promise<Standing | undefined> {
  const { limiters } = (await (await fetch(`${url}/performance`)).json()) as { limiters: Record<string, Standing> };
  return limiters[name];
}

/** Its first decisions may come before it is connected, and then it decides by itself. */
async function untilCounted(chat: ExampleProgram): Promise<void> {
  await until('Redis counts its requests', async () => {
    await fetch(`${chat.url}/api/info`);
    return ((await limiterOf(chat, 'http'))?.decidedBy.store ?? 0) > 0;
  });
}

async function askWhole({ url }: ExampleProgram, question: string): Promise<unknown> {
  const response = await fetch(`${url}/api/chat`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ question }),
  });
  return response.json();
}

/** Two processes, asked the same; the second one while the first answers. */
async function shareAnswer(model: ModelServer, meanwhile?: () => Promise<void>) {
  const [one, other] = await Promise.all([startChat(model), startChat(model)]);
  const first = ask(one, question);
  await first.begun;
  const second = ask(other, question);
  await second.begun;
  await meanwhile?.();
  const [said, heard] = await Promise.all([first.answer, second.answer]);
  return { other, said, heard };
}

const linesOf = (chat: ExampleProgram, about: RegExp): readonly string[] =>
  chat.printed().filter((line) => about.test(line));

async function isKept(): Promise<boolean> {
  return Number(await redis.command('DBSIZE')) > 0 && (await keysOf(':e')).length > 0;
}

async function keysOf(end: string): Promise<readonly string[]> {
  const keys = await redis.command('KEYS', `rag-chat:*${end}`);
  return Array.isArray(keys) ? keys.map(String) : [];
}

describe('two processes of the RAG chat on one Redis', () => {
  it('share one answer in flight: one call to the model, both stream all of it, and then it is kept for all', async () => {
    const model = await startModel();
    const { other, said, heard } = await shareAnswer(model);
    expect(said).toMatchObject({ layer: 'model', text: reply });
    expect(heard).toMatchObject({ layer: 'shared', text: reply });
    expect(model.requests).toHaveLength(1);
    // Streamed, not waited for: it begins long before the end, and comes in many pieces.
    expect(heard.firstAt).toBeLessThan(said.lastAt - 500);
    expect(heard.pieces).toBeGreaterThan(10);

    await until('the answer is in Redis', isKept);
    const third = await startChat(model);
    expect(await ask(third, question).answer).toMatchObject({ layer: 'store', text: reply });
    expect(['store', 'memory']).toContain((await ask(other, question).answer).layer);
    expect(model.requests).toHaveLength(1);
  });

  it('share the quota of their model: what one has asked the other may ask no more', async () => {
    const model = await startModel();
    model.set({ msPerChunk: 0 });
    const quota = { MODEL_RPM: '3', MODEL_TPM: '100000' };
    const chats = await Promise.all([startChat(model, redis.url, quota), startChat(model, redis.url, quota)]);
    for (const chat of chats) await untilCounted(chat);
    const models: unknown[] = [];
    for (const chat of [...chats, ...chats, ...chats]) models.push(await modelOf(chat, newQuestion()));
    expect(models).toEqual([...Array(3).fill('openai:tiny'), ...Array(3).fill('extractive')]);
    expect(model.requests).toHaveLength(3);
    const standings = await Promise.all(chats.map((chat) => limiterOf(chat, 'openai:tiny')));
    expect(standings).toMatchObject([
      { allowed: 2, refused: 1, decidedBy: { store: 3 }, store: { name: 'Redis', state: 'closed' } },
      { allowed: 1, refused: 2, decidedBy: { store: 3 }, store: { name: 'Redis', state: 'closed' } },
    ]);
  });

  it('share what one client may ask', async () => {
    const chats = await Promise.all([startChat(), startChat()]);
    for (const chat of chats) await untilCounted(chat);
    const refused = new Set<ExampleProgram>();
    for (let asked = 0; asked < 300 && refused.size < 2; asked++) {
      const chat = chats[asked % 2] as ExampleProgram;
      if ((await fetch(`${chat.url}/api/info`)).status === 429) refused.add(chat);
    }
    const [one, other] = await Promise.all(chats.map((chat) => limiterOf(chat, 'http')));
    expect([one?.refused, other?.refused]).toEqual([1, 1]);
    expect((one?.allowed ?? 0) + (other?.allowed ?? 0)).toBe(120);
  });

  it('say which store they use, in the log and at /api/info', async () => {
    const chat = await startChat();
    expect(chat.printed()).toContain(`Answers are kept in Redis at ${redis.url} as well.`);
    expect(await (await fetch(`${chat.url}/api/info`)).json()).toMatchObject({ store: 'Redis' });
  });
});

describe('Redis that fails', () => {
  it('in the middle of a shared answer, and comes back empty at once: both stream all of it', async () => {
    const model = await startModel();
    const { said, heard } = await shareAnswer(model, async () => {
      await redis.restart();
    });
    expect([said, heard]).toMatchObject([
      { layer: 'model', text: reply },
      { layer: 'shared', text: reply },
    ]);
    expect(model.requests).toHaveLength(1);
  });

  it('in the middle of a shared answer, for good: who only reads along is told so, whoever waits for all of it gets it', async () => {
    const model = await startModel();
    const [one, other] = await Promise.all([startChat(model), startChat(model)]);
    const first = ask(one, question);
    await first.begun;
    const [second, whole] = [ask(other, question), askWhole(other, question)];
    await second.begun;
    await redis.kill();
    await expect(second.answer).rejects.toThrow('WP_STREAM_LOST');
    expect((await first.answer).text).toBe(reply);
    expect(await whole).toMatchObject({ layer: 'model', answer: reply });
    expect((await ask(other, question).answer).text).toBe(reply);
    expect(model.requests).toHaveLength(2);
  });

  it('for a while: questions are answered, away and back are said once each, and then answers are shared again', async () => {
    const chats = await Promise.all([startChat(), startChat()]);
    const [one, other] = chats;
    await redis.kill();
    for (const chat of chats) {
      for (let count = 0; count < 8; count++) await ask(chat, newQuestion()).answer;
      await until('it is away', async () => linesOf(chat, /is away/).length === 1);
    }
    await redis.restart();
    for (const chat of chats) await until('it is back', async () => linesOf(chat, /is back/).length === 1);
    await until('it is used again', async () => {
      const again = newQuestion();
      await ask(one, again).answer;
      return (await ask(other, again).answer).layer === 'store';
    });
    for (const chat of chats) {
      expect(linesOf(chat, /Redis at/)).toEqual([
        `Answers are kept in Redis at ${redis.url} as well.`,
        expect.stringMatching(`^Redis at ${redis.url} is away for now, so answers are kept in memory alone: .+`),
        `Redis at ${redis.url} is back.`,
      ]);
      expect(linesOf(chat, / {4}at |Unhandled|MaxListeners/)).toEqual([]);
    }
  });

  it('and is not there at all: the chat starts, answers, keeps answers in memory, and says so once', async () => {
    const url = `redis://:secret-word@127.0.0.1:${await steadyPort()}/1`;
    const shown = url.replace(':secret-word@', '');
    const chat = await startChat(undefined, url);
    expect(await ask(chat, question).answer).toMatchObject({
      layer: 'model',
      text: expect.stringContaining('180 degrees'),
    });
    expect((await ask(chat, question).answer).layer).toBe('memory');
    expect(linesOf(chat, /away/)).toEqual([
      `Redis at ${shown} is away for now, so answers are kept in memory alone: connect ECONNREFUSED ${new URL(url).host}`,
    ]);
    expect(chat.printed().join('\n')).not.toContain('secret-word');
    chat.child.kill('SIGTERM');
    expect(await chat.ended).toBe(0);
  });

  it('and is frozen: questions are answered, and the chat ends when it is told to', async () => {
    const chat = await startChat();
    redis.freeze();
    onTestFinished(() => redis.thaw());
    const begunAt = performance.now();
    expect((await ask(chat, question).answer).text).toContain('180 degrees');
    expect(performance.now() - begunAt).toBeLessThan(2_000);
    await until('it is away', async () => linesOf(chat, /is away .*it did not answer within 800 ms/).length === 1);
    const stoppedAt = performance.now();
    chat.child.kill('SIGTERM');
    expect(await chat.ended).toBe(0);
    expect(performance.now() - stoppedAt).toBeLessThan(4_000);
  });

  it('because it is full: it is read on, and that nothing is written is said once', async () => {
    const chat = await startChat();
    const kept = newQuestion();
    await ask(chat, kept).answer;
    await until('the answer is in Redis', isKept);
    await redis.configure({ maxmemory: 1 });
    for (let count = 0; count < 8; count++) await ask(chat, newQuestion()).answer;
    await until('it is said', async () => linesOf(chat, /cannot be written/).length === 1);
    const other = await startChat();
    expect((await ask(other, kept).answer).layer).toBe('store');
    expect(linesOf(chat, /for now/)).toEqual([
      expect.stringMatching(/cannot be written for now, so answers are kept in memory alone: .*OOM/),
    ]);
  });
});

describe('a REDIS_URL that cannot be meant', () => {
  it.each([
    ['http://me:secret-word@127.0.0.1', "It begins with 'http://'."],
    ['127.0.0.1:6379', 'It begins with neither.'],
    ['redis://127.0.0.1:6379/answers', 'What comes after its host is not the number of a database.'],
  ])('such as %s ends the start with what, why and the mend, before anything listens', async (url, why) => {
    const { ended, printed } = runExample('rag-chat', { DOCS_DIR: docs, REDIS_URL: url });
    expect(await ended).toBe(1);
    expect(printed()).toEqual([
      'REDIS_URL must be a redis:// or rediss:// address.',
      `  Why:  ${why}`,
      '  Mend: Correct it, such as redis://127.0.0.1:6379, or leave it out to keep answers in memory alone.',
    ]);
  });

  it('is one beside a cache file, too', async () => {
    const env = { DOCS_DIR: docs, REDIS_URL: 'redis://127.0.0.1', CACHE_FILE: join(docs, 'answers.sqlite') };
    const { ended, printed } = runExample('rag-chat', env);
    expect(await ended).toBe(1);
    expect(printed()[0]).toBe('REDIS_URL and CACHE_FILE are both set.');
  });
});
