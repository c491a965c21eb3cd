import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { createFakeClock } from '../testing/index.js';
import { type RespondOptions, respondWithEvents, responseSignal, type SseEvent, type StreamEnd } from './index.js';

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  }
});

/** A real server that answers each request with `handle`, and a real client; `outcome` is what respondWithEvents gave. */
async function serve(handle: (res: ServerResponse) => Promise<StreamEnd>, method = 'GET') {
  const { promise: outcome, resolve, reject } = Promise.withResolvers<StreamEnd>();
  outcome.catch(() => {});
  const { promise: response, resolve: setResponse } = Promise.withResolvers<ServerResponse>();
  const server = createServer((_, res) => {
    setResponse(res);
    handle(res).then(resolve, (error) => {
      reject(error);
      if (!res.headersSent) res.writeHead(503).end('early');
    });
  });
  servers.push(server.listen(0, '127.0.0.1'));
  await once(server, 'listening');
  const request = get({ method, port: (server.address() as AddressInfo).port, agent: false });
  request.on('error', () => {});
  const answer = once(request, 'response').then(([message]) => message as IncomingMessage);
  answer.catch(() => {});
  return { outcome, response, answer, request };
}

async function textOf(message: IncomingMessage): Promise<string> {
  return (await message.setEncoding('utf8').toArray()).join('');
}

/** Reads until `text` is there. */
async function readUntil(message: IncomingMessage, text: string): Promise<string> {
  let seen = '';
  message.setEncoding('utf8');
  while (!seen.includes(text)) {
    const [piece] = await once(message, 'data');
    seen += piece;
  }
  return seen;
}

async function* eventsOf(...texts: string[]): AsyncGenerator<SseEvent> {
  for (const data of texts) yield { data };
}

describe('respondWithEvents', () => {
  it('sends the events and says how it went', async () => {
    const { answer, outcome } = await serve((res) =>
      respondWithEvents(res, eventsOf('a', 'b'), { headers: { 'X-Answer': '1' }, clock: createFakeClock() }),
    );
    const message = await answer;
    expect(message.statusCode).toBe(200);
    expect(message.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': expect.stringContaining('no-transform'),
      'x-accel-buffering': 'no',
      'x-answer': '1',
    });
    expect(message.headers).not.toHaveProperty('content-length');
    expect(await textOf(message)).toBe('data: a\n\ndata: b\n\n');
    expect(await outcome).toEqual({ outcome: 'complete', chunks: 2, firstChunkMs: 0, totalMs: 0 });
  });

  it('holds the headers back until the first event, and measures the time to it', async () => {
    const clock = createFakeClock();
    const { promise, resolve } = Promise.withResolvers<void>();
    const events = async function* () {
      await promise;
      yield { data: 'first' };
    };
    const { response, answer, outcome } = await serve((res) =>
      respondWithEvents(res, events(), { clock, status: 201 }),
    );
    const res = await response;
    await clock.advance(400);
    expect(res.headersSent).toBe(false);
    resolve();
    expect((await answer).statusCode).toBe(201);
    await textOf(await answer);
    expect(await outcome).toMatchObject({ firstChunkMs: 400 });
  });

  it('sends headers for a source without any event as well', async () => {
    const { answer, outcome } = await serve((res) => respondWithEvents(res, eventsOf()));
    expect((await answer).headers['content-type']).toMatch('text/event-stream');
    expect(await textOf(await answer)).toBe('');
    expect(await outcome).toMatchObject({ outcome: 'complete', chunks: 0, firstChunkMs: undefined });
  });

  it('answers HEAD with the headers alone, without beginning the source', async () => {
    let begun = false;
    const events = async function* (): AsyncGenerator<SseEvent> {
      begun = true;
      yield { data: 'a' };
    };
    const { answer, outcome } = await serve((res) => respondWithEvents(res, events()), 'HEAD');
    expect((await answer).headers['content-type']).toMatch('text/event-stream');
    expect(await textOf(await answer)).toBe('');
    expect(await outcome).toMatchObject({ outcome: 'complete', chunks: 0 });
    expect(begun).toBe(false);
  });

  it('rejects with nothing sent when the source fails before its first event', async () => {
    const events = async function* (): AsyncGenerator<SseEvent> {
      yield await Promise.reject(new Error('no model'));
    };
    const { answer, outcome } = await serve((res) => respondWithEvents(res, events()));
    await expect(outcome).rejects.toThrow('no model');
    const message = await answer;
    expect([message.statusCode, message.headers['content-type'], await textOf(message)]).toEqual([
      503,
      undefined,
      'early',
    ]);
  });

  it('tells a later failure in an event of its own, without the secrets of the server', async () => {
    const events = async function* (): AsyncGenerator<SseEvent> {
      yield { data: 'a' };
      throw new Error('password is hunter2');
    };
    const { answer, outcome } = await serve((res) => respondWithEvents(res, events()));
    const text = await textOf(await answer);
    expect(text).toMatch(/^data: a\n\nevent: error\ndata: \{"type":"about:blank".*"status":500.*\}\n\n$/);
    expect(text).not.toContain('hunter2');
    expect(await outcome).toMatchObject({ outcome: 'failed', chunks: 1, error: new Error('password is hunter2') });
  });

  it('ends the source when the client leaves, between two events and in the middle of one', async () => {
    for (const waits of [false, true]) {
      const { promise: closed, resolve: close } = Promise.withResolvers<void>();
      const events = async function* (gone: AbortSignal): AsyncGenerator<SseEvent> {
        try {
          yield { data: 'a' };
          if (waits) await once(gone, 'abort');
          else for (;;) yield { data: 'more' };
        } finally {
          close();
        }
      };
      const { answer, outcome, request, response } = await serve((res) =>
        respondWithEvents(res, events(responseSignal(res))),
      );
      await readUntil(await answer, 'data: a');
      request.destroy();
      await closed;
      expect(await outcome).toMatchObject({ outcome: 'aborted' });
      expect(responseSignal(await response).aborted).toBe(true);
    }
  });

  it('lets go when the client leaves before the first event', async () => {
    const { promise: closed, resolve: close } = Promise.withResolvers<void>();
    const events = async function* (gone: AbortSignal): AsyncGenerator<SseEvent> {
      try {
        await once(gone, 'abort');
        yield { data: 'nobody reads this' };
      } finally {
        close();
      }
    };
    const { outcome, request, response } = await serve((res) => respondWithEvents(res, events(responseSignal(res))));
    await response;
    request.destroy();
    await closed;
    expect(await outcome).toMatchObject({ outcome: 'aborted', chunks: 0 });
  });

  it('does not wait for a source that ignores that the client has left', async () => {
    const events: AsyncIterable<SseEvent> = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => {}),
        return: () => {
          throw new Error('cannot be closed');
        },
      }),
    };
    const { outcome, request, response } = await serve((res) => respondWithEvents(res, events));
    await response;
    request.destroy();
    expect(await outcome).toMatchObject({ outcome: 'aborted' });
  });

  it('slows the source down to the pace of a client that does not read, and loses nothing', async () => {
    const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    const total = 4_000;
    let pulled = 0;
    const events = async function* (): AsyncGenerator<SseEvent> {
      while (pulled < total) yield { data: `${++pulled}:${'x'.repeat(32_768)}` };
    };
    const clock = createFakeClock();
    const { answer, outcome, response } = await serve((res) =>
      respondWithEvents(res, events(), { clock, heartbeat: 1_000 }),
    );
    const message = await answer;
    message.pause();
    for (let seen = -1, still = 0; still < 300; still = pulled === seen ? still + 1 : 0, seen = pulled) await turn();
    expect(pulled).toBeGreaterThan(0);
    expect(pulled).toBeLessThan(total / 2); // 64 MB would not fit into the buffers of two sockets
    const { writableLength } = await response;
    await clock.advance(10_000);
    expect((await response).writableLength).toBe(writableLength); // no heartbeat piles up behind what nobody reads
    const text = await textOf(message);
    expect(text.match(/\d+:x/g)).toHaveLength(total);
    expect(await outcome).toMatchObject({ outcome: 'complete', chunks: total });
  }, 30_000);

  it('sends a comment whenever nothing else was sent for an interval, and none after the end', async () => {
    const clock = createFakeClock();
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const events = async function* () {
      yield { data: 'a' };
      await gates[0]?.promise;
      yield { data: 'b' };
      await gates[1]?.promise;
    };
    const { answer, outcome } = await serve((res) => respondWithEvents(res, events(), { clock, heartbeat: '10s' }));
    const message = await answer;
    await readUntil(message, 'data: a');
    await clock.advance(9_999);
    gates[0]?.resolve();
    await readUntil(message, 'data: b');
    const quiet = readUntil(message, 'still here');
    await clock.advance(10_000);
    expect(await quiet).toBe(': still here\n\n');
    const again = readUntil(message, 'still here');
    await clock.advance(10_000);
    expect(await again).toBe(': still here\n\n');
    gates[1]?.resolve();
    await textOf(message);
    await outcome;
    expect(clock.pending).toBe(0);
  });

  it('has a compressing response let go of every event and of every comment', async () => {
    const clock = createFakeClock();
    const { promise, resolve } = Promise.withResolvers<void>();
    let flushes = 0;
    const events = async function* () {
      yield { data: 'a' };
      await promise;
      yield { data: 'b' };
    };
    const { answer, outcome } = await serve((res) => {
      Object.assign(res, { flush: () => flushes++ });
      return respondWithEvents(res, events(), { clock, heartbeat: 1_000 });
    });
    await readUntil(await answer, 'data: a');
    expect(flushes).toBe(1);
    await clock.advance(1_000);
    expect(flushes).toBe(2);
    resolve();
    await textOf(await answer);
    await outcome;
    expect(flushes).toBe(3);
  });

  it.each<[unknown, string]>([
    [{ heartbeat: 0 }, 'heartbeat'],
    [{ heartbeat: 'often' }, 'heartbeat'],
    [{ status: 42 }, 'status'],
    [{ header: {} }, 'header'],
  ])('refuses the options %j before anything is sent', async (options, name) => {
    const { outcome, answer } = await serve((res) => respondWithEvents(res, eventsOf('a'), options as RespondOptions));
    await expect(outcome).rejects.toMatchObject({
      code: 'WP_BAD_OPTION',
      message: expect.stringContaining(`'${name}'`),
    });
    expect((await answer).statusCode).toBe(503);
  });
});

describe('responseSignal', () => {
  it('is one for each response, and quiet when the answer has been sent', async () => {
    const { answer, outcome, response } = await serve((res) => respondWithEvents(res, eventsOf('a')));
    await textOf(await answer);
    await outcome;
    const res = await response;
    const signal = responseSignal(res);
    expect(responseSignal(res)).toBe(signal);
    if (!res.closed) await once(res, 'close');
    expect(signal.aborted).toBe(false);
  });

  it('is aborted from the start for a response whose client has left', async () => {
    const { request, response } = await serve(() => new Promise(() => {}));
    const res = await response;
    request.destroy();
    await once(res, 'close');
    expect(responseSignal(res).aborted).toBe(true);
  });
});
