import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createWarmpath, type Warmpath } from '@warmpath/core';
import { type Clock, systemClock } from '@warmpath/core/kernel';
import { type ChatChunk, type ChatModel, type ChatRequest, collectAnswer, extractive } from '@warmpath/core/models';
import { createFakeClock } from '@warmpath/core/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { type AppOptions, createApp } from './app.js';
import { shuttingDown } from './farewell.js';
import { createLibrary } from './library.js';
import { ownHosts } from './own-hosts.js';
import { readEvents, type StreamEvent } from './sse.js';

const page = `# Ovens\n\nAn oven bakes bread with dry heat.\n\n## Temperature\n\nThe default temperature of an oven is 180 degrees.\n`;
const library = createLibrary({
  digest: 'd',
  documents: [{ path: 'docs/ovens.md', format: 'markdown', text: page }],
});

let server: Server | undefined;
let runtime: Warmpath | undefined;
let url = '';
let logged: string[] = [];

afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
  await runtime?.close();
  server = undefined;
});

async function start(
  options: Partial<AppOptions> & { readonly models?: ChatModel[]; readonly clock?: Clock } = {},
): Promise<void> {
  const { models = [extractive()], clock = systemClock, ...rest } = options;
  logged = [];
  runtime = createWarmpath({ chat: { models }, clock });
  const log = (line: string): void => void logged.push(line);
  server = createServer(createApp({ library, runtime, model: models[0]?.name ?? 'none', log, ...rest }));
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function post(body: unknown, headers: Record<string, string> = {}, signal?: AbortSignal): Promise<Response> {
  return fetch(`${url}/api/chat`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...(signal ? { signal } : {}),
  });
}

const asStream = { accept: 'text/event-stream' };
const question = 'What is the default temperature of an oven?';

async function events(response: Response): Promise<StreamEvent[]> {
  const all: StreamEvent[] = [];
  for await (const event of readEvents(response.body ?? new Blob([]).stream())) all.push(event);
  return all;
}

/** Whatever the application sends: each test looks at what it is about. */
interface Body {
  readonly answer: string;
  readonly layer: string;
  readonly citations: readonly { readonly passage: string; readonly quote: string; readonly url: string }[];
  readonly text: string;
  readonly previous: string;
  readonly next: string;
  readonly detail: string;
}

async function bodyOf(response: Response): Promise<Body> {
  return (await response.json()) as Body;
}

function dataOf<Data>(event: StreamEvent | undefined): Data {
  return event?.data as Data;
}

/** A model whose every step the test decides. */
function scripted(stream: (request: ChatRequest, signal?: AbortSignal) => AsyncIterable<ChatChunk>): ChatModel {
  return {
    name: 'scripted',
    stream: (request, call) => stream(request, call?.signal),
    generate: (request, call) => collectAnswer(stream(request, call?.signal)),
  };
}

describe('POST /api/chat', () => {
  it('answers in JSON with citations whose quotes stand in the passage that is served', async () => {
    await start();
    const response = await post({ question });
    expect(response.status).toBe(200);
    const answer = await bodyOf(response);
    expect(answer).toMatchObject({ layer: 'model', model: 'extractive', ageMs: 0, reason: 'stop' });
    expect(answer.answer).toContain('180 degrees');
    const [citation] = answer.citations;
    expect(citation).toMatchObject({ marker: 1, title: 'Ovens', heading: 'Temperature' });
    expect(citation?.url).toBe(`/#passage=${citation?.passage}`);
    const passage = await bodyOf(await fetch(`${url}/api/passages/${citation?.passage}`));
    expect(passage.text).toContain(citation?.quote);
    expect(passage).toMatchObject({ document: 'docs/ovens.md', anchor: 'temperature', startLine: 5 });
    expect(passage.previous).toMatch(/^[0-9a-f]{16}$/);
    expect(passage.next).toBeUndefined();
  });

  it('streams meta, text, citations and an outcome', async () => {
    await start();
    const response = await post({ question }, asStream);
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    const all = await events(response);
    expect(all[0]).toMatchObject({ event: 'meta', data: { layer: 'model', model: 'extractive' } });
    expect(dataOf<{ passages: unknown[] }>(all[0]).passages[0]).toEqual({
      id: expect.any(String),
      title: 'Ovens',
      heading: 'Temperature',
      url: expect.stringContaining('/#passage='),
    });
    expect(all.filter(({ event }) => event === 'text').length).toBeGreaterThan(3);
    expect(all.some(({ event }) => event === 'citation')).toBe(true);
    expect(all.at(-1)).toMatchObject({ event: 'done', data: { layer: 'model', reason: 'stop' } });
  });

  it('serves stream and JSON from one cache entry, whatever the white space', async () => {
    await start();
    const [, ...streamed] = await events(await post({ question }, asStream));
    const answer = await bodyOf(await post({ question: `  ${question.replace(' ', '\n ')}  ` }));
    expect(answer.layer).toBe('memory');
    const text = streamed.filter(({ event }) => event === 'text').map((event) => dataOf<{ text: string }>(event).text);
    expect(answer.answer).toBe(text.join(''));
    const again = (await events(await post({ question }, asStream))).at(-1);
    expect(again).toMatchObject({ event: 'done', data: { layer: 'memory', citations: answer.citations } });
  });

  it('asks the model once for those who ask at the same time', async () => {
    let calls = 0;
    const gate = Promise.withResolvers<void>();
    const model = scripted(async function* () {
      calls++;
      yield { type: 'text', text: 'Hot.' };
      await gate.promise;
      yield { type: 'finish', reason: 'stop' };
    });
    await start({ models: [model] });
    const answers = [1, 2, 3].map(() => post({ question }, asStream));
    const begun = await Promise.all(answers); // each has its first words
    gate.resolve();
    const layers = await Promise.all(
      begun.map(async (response) => dataOf<{ layer: string }>((await events(response)).at(-1)).layer),
    );
    expect(layers.toSorted()).toEqual(['model', 'shared', 'shared']);
    expect(calls).toBe(1);
  });

  it('answers another text of the documents anew', async () => {
    const changed = createLibrary({
      digest: 'e',
      documents: [{ path: 'docs/ovens.md', format: 'markdown', text: page.replace('180', '200') }],
    });
    let today = library;
    await start({ library: { ...library, search: (words) => today.search(words) } });
    const ask = async () => bodyOf(await post({ question }));
    expect(await ask()).toMatchObject({ layer: 'model', answer: expect.stringContaining('180') });
    today = changed;
    expect(await ask()).toMatchObject({ layer: 'model', answer: expect.stringContaining('200') });
    today = library;
    expect(await ask()).toMatchObject({ layer: 'memory', answer: expect.stringContaining('180') });
  });

  it('says so, without asking a model, when no passage fits', async () => {
    await start({
      models: [
        scripted(() => {
          throw new Error('asked');
        }),
      ],
    });
    const answer = await bodyOf(await post({ question: 'zanzibar xylophone' }));
    expect(answer).toMatchObject({ layer: 'none', model: 'none', citations: [] });
    expect(answer.answer).toContain('The documents hold nothing about this.');
  });

  it('looks up a short follow-up together with the question before it', async () => {
    await start();
    const messages = [
      { role: 'user', content: 'How hot is an oven?' },
      { role: 'assistant', content: 'Quite hot.' },
      { role: 'user', content: 'And otherwise?' },
    ];
    const alone = await bodyOf(await post({ messages: messages.slice(2) }));
    const together = await bodyOf(await post({ messages }));
    expect([alone.layer, together.layer]).toEqual(['none', 'model']);
  });

  it('stops the model when the reader leaves', async () => {
    const stopped = Promise.withResolvers<unknown>();
    await start({
      models: [
        scripted(async function* (_request, signal) {
          yield { type: 'text', text: 'Never ' };
          await new Promise((_, reject) => {
            signal?.addEventListener('abort', () => {
              stopped.resolve(signal.reason);
              reject(signal.reason);
            });
          });
        }),
      ],
    });
    const leaving = new AbortController();
    const response = await post({ question }, asStream, leaving.signal);
    await response.body?.getReader().read();
    leaving.abort();
    expect(await stopped.promise).toBeInstanceOf(Error);
  });

  it('tells a failure before the first word by a status, and one after it inside the stream', async () => {
    const original = console.error;
    const logged: unknown[] = [];
    console.error = (...line: unknown[]) => void logged.push(line);
    try {
      let early = true;
      await start({
        models: [
          scripted(async function* () {
            if (early) throw new Error('secret cause');
            yield { type: 'text', text: 'Half' };
            throw new Error('secret cause');
          }),
        ],
      });
      const refused = await post({ question }, asStream);
      expect(refused.status).toBeGreaterThanOrEqual(500);
      expect(refused.headers.get('content-type')).toContain('application/problem+json');
      expect(await refused.text()).not.toContain('secret cause');
      expect(logged).toHaveLength(1);
      early = false;
      const broken = await events(await post({ question }, asStream));
      expect(broken.map(({ event }) => event)).toEqual(['meta', 'text', 'error']);
      expect(JSON.stringify(broken)).not.toContain('secret cause');
    } finally {
      console.error = original;
    }
  });

  it.each<[name: string, body: unknown, status: number, detail: RegExp]>([
    ['an empty question', { question: ' \n' }, 400, /'question' is empty\. Ask something/],
    ['no question', {}, 400, /'question' must be text; it is missing/],
    ['a question that is a number', { question: 7 }, 400, /'question' must be text; it is a number/],
    ['a question over 2,000 characters', { question: 'x'.repeat(2_001) }, 413, /2001 characters and may have 2000/],
    ['an unknown field', { question, model: 'x' }, 400, /no field 'model'/],
    ['both forms', { question, messages: [] }, 400, /both/],
    ['a list', [], 400, /must be an object.*a list/],
    ['null', 'null', 400, /must be an object, such as .*; it is null\.$/],
    ['a bare string', '"x"', 400, /must be an object, such as .*; it is a string\.$/],
    ['no messages', { messages: [] }, 400, /list of 1 to 50 messages; it is a list of 0/],
    ['a system message', { messages: [{ role: 'system', content: 'x' }] }, 400, /'user' or 'assistant'/],
    ['an answer at the end', { messages: [{ role: 'assistant', content: 'x' }] }, 400, /must be 'user'/],
    ['a message with more', { messages: [{ role: 'user', content: 'x', name: 'y' }] }, 400, /no field 'name'/],
    ['bad JSON', '{"question": ', 400, /JSON/],
    ['a body over the limit', { question: 'x'.repeat(70_000) }, 413, /limit of 65536 bytes/],
  ])('refuses %s with a problem document, and the log says why, once', async (name, body, status, detail) => {
    await start();
    for (const headers of [{}, asStream]) {
      const response = await post(body, headers);
      expect(response.status).toBe(status);
      expect(response.headers.get('content-type')).toContain('application/problem+json');
      expect((await bodyOf(response)).detail).toMatch(detail);
      expect(logged).toEqual([expect.stringMatching(`^POST /api/chat was refused with ${status}: `)]);
      expect(logged.splice(0)[0]).toMatch(name === 'bad JSON' ? /JSON/ : detail);
    }
  });

  it('writes a refusal into the log as one line that is short and shows no body', async () => {
    await start();
    const forged = '\nPOST /api/chat failed\u001b[31m\u202e';
    await post({ [`x${forged}`]: 1 });
    await post('{"question": my secret}');
    await post('my secret');
    await fetch(`${url}/${'long'.repeat(500)}?token=secret`);
    expect(logged).toHaveLength(4);
    expect(logged[0]).toContain('\\u{a}POST /api/chat failed\\u{1b}[31m\\u{202e}');
    expect(logged[1]).toMatch(/is not the JSON that its Content-Type promises: .*not valid JSON/);
    for (const line of logged) {
      expect(line).not.toMatch(/secret|[\p{Cc}\p{Cf}]/u);
      expect(line.length).toBeLessThan(510);
    }
  });

  it('gives up on an answer that is not complete after five minutes', async () => {
    const clock = createFakeClock();
    const original = console.error;
    console.error = () => {};
    try {
      const halting = scripted(async function* (_request, signal) {
        yield { type: 'text', text: 'It is' };
        await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
      });
      await start({ models: [halting], clock });
      const response = await post({ question }, asStream);
      await clock.advance(299_999);
      const all = events(response);
      await clock.advance(1);
      expect((await all).at(-1)).toMatchObject({ event: 'error', data: { status: 504, code: 'WP_DEADLINE' } });
    } finally {
      console.error = original;
    }
  });

  it('refuses a body that is not JSON, another method, and unknown addresses', async () => {
    await start();
    expect((await post('question=x', { 'content-type': 'application/x-www-form-urlencoded' })).status).toBe(415);
    const got = await fetch(`${url}/api/chat`);
    expect([got.status, got.headers.get('allow')]).toEqual([405, 'POST']);
    expect((await fetch(`${url}/api/passages/0123456789abcdef`)).status).toBe(404);
    const garbage = await fetch(`${url}/api/passages/garbage`);
    expect([garbage.status, (await bodyOf(garbage)).detail]).toEqual([
      404,
      "'garbage' is no passage's id: those have 16 hexadecimal digits, and come with an answer.",
    ]);
    for (const path of ['/', '/api/info', '/api/passages/0123456789abcdef', '/performance']) {
      const posted = await fetch(`${url}${path}`, { method: 'POST' });
      expect([path, posted.status, posted.headers.get('allow')]).toEqual([path, 405, 'GET, HEAD']);
    }
    expect((await fetch(`${url}/api/passages/%E0%A4%A`)).status).toBe(400);
    expect((await fetch(`${url}/nowhere`)).status).toBe(404);
  });

  it.each(['gzip', 'deflate', 'br'])(
    'says of a body that is not the %s it should be that it cannot be unpacked',
    async (encoding) => {
      await start();
      const response = await post('not packed', { 'content-encoding': encoding });
      expect(response.status).toBe(400);
      expect((await bodyOf(response)).detail).toBe(
        `The body is not the ${encoding} that its Content-Encoding promises. Send it complete, or uncompressed.`,
      );
    },
  );

  it('ends what is under way when the server is shutting down, the work of the model included, and says why', async () => {
    let asked = 0;
    let ended = 0;
    const halting = scripted(async function* (request, signal) {
      asked++;
      if (!JSON.stringify(request).includes('silent')) yield { type: 'text', text: 'It is' };
      await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason))).finally(
        () => ended++,
      );
    });
    const stopping = new AbortController();
    await start({ models: [halting], stopping: stopping.signal });
    const response = await post({ question }, asStream);
    const silent = [{}, asStream].map((headers) => post({ question: `${question} (silent)` }, headers));
    await expect.poll(() => asked).toBe(2);
    stopping.abort(shuttingDown);
    const all = await events(response);
    expect(all.map(({ event }) => event)).toEqual(['meta', 'text', 'error']);
    expect(all.at(-1)?.data).toMatchObject({ status: 503, title: 'The server is shutting down' });
    for (const answer of await Promise.all(silent)) expect(answer.status).toBe(503);
    expect(ended).toBe(asked);
    expect(logged).toEqual(Array(2).fill('POST /api/chat was not answered: the server is shutting down.'));
  });

  it('gives the age of an answer in whole milliseconds', async () => {
    const clock = createFakeClock();
    await start({ clock });
    await post({ question });
    await clock.advance(1_234.5678);
    expect(await bodyOf(await post({ question }))).toMatchObject({ layer: 'memory', ageMs: 1_235 });
  });

  it('refuses who asks too often, and says when to come back', async () => {
    await start({ rateLimit: { limit: 2, window: '1m' } });
    await post({ question });
    await post({ question });
    const refused = await post({ question }, asStream);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await fetch(`${url}/`)).status).toBe(200); // the page itself is free
  });
});

describe('an application that listens for its own machine alone', () => {
  /** Not with fetch, which sets the header itself. */
  function statusFor(host: string): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      const sent = request(`${url}/api/info`, { headers: { host } }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      sent.once('error', reject).end();
    });
  }

  it.each(['localhost', 'LOCALHOST:3000', '127.0.0.1', '127.0.0.1:80', '[::1]', '[::1]:3000'])(
    'answers to %s',
    async (host) => {
      await start({ hosts: ownHosts('127.0.0.1') });
      expect(await statusFor(host)).toBe(200);
    },
  );

  it.each([
    'evil.example',
    'evil.example:3000',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'localhost@evil.example',
    'localhost:3000@evil.example',
    'evil.example:3000:localhost',
    '::1',
    '0.0.0.0',
  ])("refuses what a page that calls itself '%s' sends", async (host) => {
    await start({ hosts: ownHosts('127.0.0.1') });
    expect(await statusFor(host)).toBe(421);
    expect(logged).toEqual([expect.stringMatching('^GET /api/info was refused with 421: This is another host: ')]);
  });

  it('refuses with a problem document, the page included', async () => {
    await start({ hosts: ['elsewhere'] });
    for (const path of ['/', '/api/info', '/performance']) {
      const response = await fetch(`${url}${path}`);
      expect(response.status).toBe(421);
      expect(response.headers.get('content-type')).toContain('application/problem+json');
      expect((await bodyOf(response)).detail).toContain("not to '127.0.0.1'");
    }
  });

  it('is one on localhost, 127.0.0.0/8 or ::1; elsewhere any name will do', async () => {
    for (const host of ['localhost', '127.0.0.1', '::1']) expect(ownHosts(host)).toContain('localhost');
    expect(ownHosts('127.0.0.2')).toContain('127.0.0.2');
    for (const host of ['0.0.0.0', '::', '192.168.1.2', 'chat.example']) expect(ownHosts(host)).toBeUndefined();
    await start();
    expect(await statusFor('chat.example')).toBe(200);
  });
});

describe('the rest of the application', () => {
  it('says what it answers from', async () => {
    await start({ notice: 'No model.', suggestions: ['Why?'] });
    expect(await (await fetch(`${url}/api/info`)).json()).toEqual({
      model: 'extractive',
      documents: 1,
      passages: 2,
      store: null,
      notice: 'No model.',
      suggestions: ['Why?'],
    });
  });

  it('serves the page under a policy that lets nothing else in', async () => {
    await start();
    for (const path of ['/', '/app.js', '/app.css']) {
      const response = await fetch(`${url}${path}`);
      expect(response.status).toBe(200);
      const policy = response.headers.get('content-security-policy') ?? '';
      expect(policy).toContain("default-src 'none'");
      expect(policy).not.toContain('unsafe');
      expect(await response.text()).not.toMatch(/(?:src|href|url\()\s*=?\s*["']?https?:/);
    }
  });

  it('shows its performance', async () => {
    await start();
    await post({ question });
    await post({ question });
    expect(JSON.stringify(await (await fetch(`${url}/performance`)).json())).toContain('extractive');
  });
});
