import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { currentContext, type StreamEnd, WarmpathError } from '@warmpath/core';
import { createFakeClock } from '@warmpath/core/testing';
import type { Response } from 'express';
import { describe, expect, it, vi } from 'vitest';
import { serve } from '../test/serve.js';
import { HttpProblem, problemHandler } from './problem.js';
import { type AnswerEvent, streamAnswer } from './stream-answer.js';
import { warmpath } from './warmpath.js';

type Options = Parameters<typeof streamAnswer>[2];

/** An app whose one route streams these events, how each stream ended, and what was logged. */
async function streaming(
  events: (res: Response) => AsyncIterable<AnswerEvent>,
  options?: Options,
): Promise<{ url: string; ended: Promise<StreamEnd>; logged: unknown[] }> {
  const { promise: ended, resolve: end } = Promise.withResolvers<StreamEnd>();
  const logged: unknown[] = [];
  const url = await serve((app) => {
    app.use(warmpath({ tenant: (req) => req.get('x-tenant') }));
    const log = (error: unknown): unknown => logged.push(error);
    app.all('/', async (_req, res) => end(await streamAnswer(res, events(res), { log, ...options })));
    app.use(problemHandler({ log }));
  });
  return { url, ended, logged };
}

async function* of(...events: AnswerEvent[]): AsyncGenerator<AnswerEvent> {
  yield* events;
}

async function ask(url: string, method = 'GET'): Promise<IncomingMessage> {
  const client = request(url, { method, headers: { 'accept-encoding': 'gzip, br' } });
  client.end();
  const [answer] = (await once(client, 'response')) as [IncomingMessage];
  answer.on('error', () => {}); // a test that leaves does so on purpose
  return answer;
}

/** Waits until a state holds and a count has stood still for many turns of the event loop. */
async function untilStill(holds: () => boolean, count: () => number): Promise<void> {
  let seen = -1;
  for (let still = 0; still < 300; still++) {
    await new Promise((resolve) => setImmediate(resolve));
    if (!holds() || count() !== seen) still = 0;
    seen = count();
  }
}

describe('streamAnswer()', () => {
  it('sends events in the form of the standard, with data as JSON or as the text that it is', async () => {
    const { url, ended } = await streaming(() =>
      of(
        { event: 'delta', data: { text: 'a\nb' } },
        { data: 'two\nlines', id: '7' },
        { data: null },
        { data: undefined },
      ),
    );
    const answer = await fetch(url);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(answer.headers.get('cache-control')).toContain('no-transform');
    expect(answer.headers.get('x-accel-buffering')).toBe('no');
    expect(answer.headers.get('content-encoding')).toBeNull();
    expect(await answer.text()).toBe(
      'event: delta\ndata: {"text":"a\\nb"}\n\nid: 7\ndata: two\ndata: lines\n\ndata: null\n\ndata: null\n\n',
    );
    expect(await ended).toMatchObject({ outcome: 'complete', chunks: 4 });
  });

  it('takes the status and headers of the route and of the options', async () => {
    const url = await serve((app) => {
      app.use(warmpath());
      app.get('/', async (_req, res) => {
        res.status(202).set('x-layer', 'memory');
        await streamAnswer(res, of({ data: 1 }), { headers: { 'x-model': 'm' } });
      });
    });
    const { status, headers } = await fetch(url);
    expect([status, headers.get('x-layer'), headers.get('x-model')]).toEqual([202, 'memory', 'm']);
  });

  it('sends an empty stream as one', async () => {
    const { url, ended } = await streaming(() => of());
    const answer = await fetch(url);
    expect([answer.status, answer.headers.get('content-type'), await answer.text()]).toEqual([
      200,
      'text/event-stream; charset=utf-8',
      '',
    ]);
    expect(await ended).toMatchObject({ outcome: 'complete', chunks: 0, firstChunkMs: undefined });
  });

  it('holds the headers until the first event and lets each event through at once', async () => {
    const gates = Array.from({ length: 3 }, () => Promise.withResolvers<void>());
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<Response>();
    const { url } = await streaming(async function* (res) {
      arrive(res);
      await gates[0]?.promise;
      yield { data: 'one' };
      await gates[1]?.promise;
      yield { data: 'two' };
      await gates[2]?.promise;
    });
    const asked = ask(url);
    const res = await arrived;
    await new Promise((resolve) => setImmediate(resolve));
    expect(res.headersSent).toBe(false);
    gates[0]?.resolve();
    const answer = await asked;
    expect(String((await once(answer, 'data'))[0])).toBe('data: one\n\n');
    gates[1]?.resolve();
    expect(String((await once(answer, 'data'))[0])).toBe('data: two\n\n');
    gates[2]?.resolve();
    await once(answer, 'end');
    expect(answer.complete).toBe(true);
  });

  it('runs its source in the context of the request', async () => {
    const { url } = await streaming(async function* () {
      yield { data: currentContext()?.tenant };
      await new Promise((resolve) => setImmediate(resolve));
      yield { data: currentContext()?.tenant };
    });
    const answer = await fetch(url, { headers: { 'x-tenant': 'acme' } });
    expect(await answer.text()).toBe('data: acme\n\ndata: acme\n\n');
  });

  it('keeps a silent connection alive with comments', async () => {
    const clock = createFakeClock();
    const gate = Promise.withResolvers<void>();
    const { url } = await streaming(
      async function* () {
        yield { data: 'one' };
        await gate.promise;
        yield { data: 'two' };
      },
      { clock, heartbeat: '15s' },
    );
    const answer = await ask(url);
    await once(answer, 'data');
    const comment = once(answer, 'data');
    await clock.advance(15_000);
    expect(String((await comment)[0])).toMatch(/^: .*\n\n$/);
    gate.resolve();
    let rest = '';
    for await (const part of answer) rest += part;
    expect(rest).toBe('data: two\n\n');
    expect(clock.pending).toBe(0);
  });
});

describe('streamAnswer() and sources that fail', () => {
  it.each([
    ['a problem', new HttpProblem(404, 'No documents', 'Nothing was found.'), 404, 0],
    ['a WarmpathError', new WarmpathError('WP_NO_BACKEND', 'No model.'), 503, 1],
    ['anything else', new Error('secret'), 500, 1],
  ])('answers with the status of %s when nothing has been sent yet', async (_name, error, status, logs) => {
    const { url, logged } = await streaming(async function* () {
      await Promise.reject(error);
      yield { data: 'never' };
    });
    const answer = await fetch(url);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([
      status,
      'application/problem+json; charset=utf-8',
    ]);
    expect(answer.headers.get('x-accel-buffering')).toBeNull();
    expect(await answer.json()).toMatchObject({ status });
    expect(logged).toHaveLength(logs);
  });

  it('answers with a status when the first event cannot be written as JSON', async () => {
    const { url, logged } = await streaming(() => of({ data: 1n }));
    expect((await fetch(url)).status).toBe(500);
    expect(logged).toEqual([expect.any(TypeError)]);
  });

  it('answers with a status when a header cannot be sent', async () => {
    const { url, logged } = await streaming(() => of({ data: 1 }), { headers: { 'x-title': 'line\nbreak' } });
    const answer = await fetch(url);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([
      500,
      'application/problem+json; charset=utf-8',
    ]);
    expect(logged).toHaveLength(1);
  });

  it('ends with an event named error, which leaks nothing and is logged once, when events have been sent', async () => {
    const failure = new Error('password=hunter2');
    const { url, ended, logged } = await streaming(async function* () {
      yield { data: 'one' };
      throw failure;
    });
    const answer = await fetch(url);
    expect(answer.status).toBe(200);
    const text = await answer.text();
    expect(text).toMatch(/^data: one\n\nevent: error\ndata: \{.*\}\n\n$/);
    expect(text).not.toContain('hunter2');
    expect(JSON.parse(text.slice(text.lastIndexOf('data: ') + 6))).toMatchObject({ status: 500 });
    expect(await ended).toMatchObject({ outcome: 'failed', chunks: 1, error: failure });
    expect(logged).toEqual([failure]);
  });

  it('closes its source once when an event cannot be written', async () => {
    const closed = vi.fn();
    const { url, ended } = await streaming(async function* () {
      try {
        yield { data: 'one' };
        yield { data: 1n };
      } finally {
        closed();
      }
    });
    await (await fetch(url)).text();
    expect((await ended).outcome).toBe('failed');
    expect(closed).toHaveBeenCalledTimes(1);
  });
});

describe('streamAnswer() and clients', () => {
  it("runs the source's finally when the client leaves between events", async () => {
    const { promise: closed, resolve: close } = Promise.withResolvers<boolean | undefined>();
    const { url, ended, logged } = await streaming(async function* () {
      try {
        for (let turn = 0; ; turn++) {
          await new Promise((resolve) => setImmediate(resolve));
          yield { data: turn };
        }
      } finally {
        close(currentContext()?.signal?.aborted);
      }
    });
    const answer = await ask(url);
    await once(answer, 'data');
    answer.destroy();
    expect(await closed).toBe(true);
    expect(await ended).toMatchObject({ outcome: 'aborted' });
    expect(logged).toEqual([]);
  });

  it('closes a source that waits for its upstream when the client leaves', async () => {
    const { promise: closed, resolve: close } = Promise.withResolvers<void>();
    const { url, ended } = await streaming(() => {
      let sent = false;
      return {
        [Symbol.asyncIterator]: () => ({
          // Not a generator: a generator cannot be closed while it waits.
          next: () => {
            if (sent) return new Promise(() => {});
            sent = true;
            return Promise.resolve({ done: false, value: { data: 'one' } });
          },
          return: () => {
            close();
            return Promise.resolve({ done: true, value: undefined });
          },
        }),
      };
    });
    const answer = await ask(url);
    await once(answer, 'data');
    answer.destroy();
    await closed;
    expect(await ended).toMatchObject({ outcome: 'aborted', chunks: 1 });
  });

  it('neither logs nor answers when the client leaves before the first event', async () => {
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
    const { url, ended, logged } = await streaming(async function* () {
      arrive();
      const signal = currentContext()?.signal;
      await new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
      yield { data: 'never' };
    });
    const client = request(url).on('error', () => {});
    client.end();
    await arrived;
    client.destroy();
    expect(await ended).toMatchObject({ outcome: 'aborted', chunks: 0 });
    expect(logged).toEqual([]);
  });

  it('slows its source down to a slow client, and loses nothing', async () => {
    const most = 512; // 32 MiB: more than the buffers of both sides together
    const data = 'x'.repeat(65_536);
    let produced = 0;
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<Response>();
    const { url, ended } = await streaming(async function* (res) {
      arrive(res);
      while (produced++ < most) yield { data };
    });
    const answer = await ask(url);
    answer.pause();
    const res = await arrived;
    await untilStill(
      () => res.writableNeedDrain,
      () => produced,
    );
    expect(produced).toBeLessThan(most);
    expect(res.writableLength).toBeLessThan(4 * data.length);
    let received = 0;
    for await (const part of answer) received += part.length;
    expect(received).toBe(most * (data.length + 'data: \n\n'.length));
    expect(await ended).toMatchObject({ outcome: 'complete', chunks: most });
  });

  it('closes its source when a client leaves that had stopped reading', async () => {
    const { promise: closed, resolve: close } = Promise.withResolvers<void>();
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<Response>();
    const { url, ended } = await streaming(async function* (res) {
      arrive(res);
      try {
        for (let sent = 0; sent < 1_000; sent++) yield { data: 'x'.repeat(65_536) };
      } finally {
        close();
      }
    });
    const answer = await ask(url);
    answer.pause();
    const res = await arrived;
    await untilStill(
      () => res.writableNeedDrain,
      () => 0,
    );
    answer.destroy();
    await closed;
    expect(await ended).toMatchObject({ outcome: 'aborted' });
    expect(res.listenerCount('drain')).toBeLessThanOrEqual(1);
  });

  it('answers HEAD with the headers alone and does not begin its source', async () => {
    const began = vi.fn();
    const { url, ended } = await streaming(async function* () {
      began();
      yield { data: 'one' };
    });
    const answer = await ask(url, 'HEAD');
    expect([answer.statusCode, answer.headers['content-type']]).toEqual([200, 'text/event-stream; charset=utf-8']);
    expect(await ended).toMatchObject({ outcome: 'complete', chunks: 0 });
    expect(began).not.toHaveBeenCalled();
  });
});
