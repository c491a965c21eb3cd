import dns from 'node:dns';
import type { Socket } from 'node:net';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { failureOf, poolOf, serveBytes, until } from '../../test/http-set-up.js';
import { failureClass, wasNotSent } from '../kernel/index.js';
import type { HttpEvent, HttpRequestInit } from './index.js';

const answer = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

/** undici gives a socket out again a moment after its response has ended. */
const freed = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

/**
 * A server that answers the first request of its first connection, and is gone when the next one comes, as a server is whose keep-alive
 * has run out in that moment. Later connections do what `later` does.
 */
async function stale(later: (socket: Socket, piece: number) => void = (socket) => void socket.write(answer)) {
  const seen: number[] = [];
  const url = await serveBytes((socket, piece, connection) => {
    seen.push(connection);
    if (connection > 0) later(socket, piece);
    else if (piece === 0) socket.write(answer);
    else socket.resetAndDestroy();
  });
  const events: HttpEvent[] = [];
  const pool = poolOf({ name: 'gpt', baseUrl: url, onEvent: (event) => events.push(event) });
  await pool.request('/');
  await freed();
  return { url, seen, pool, events };
}

const stream = async function* (): AsyncGenerator<string> {
  yield 'text';
};
const keyed = { 'Idempotency-Key': 'k-1' };

const requests: readonly (readonly [string, HttpRequestInit])[] = [
  ['GET', {}],
  ['HEAD', { method: 'HEAD' }],
  ['DELETE', { method: 'DELETE' }],
  ['PUT with a text', { method: 'PUT', body: 'text' }],
  ['PUT with bytes', { method: 'PUT', body: Buffer.from('text') }],
  ['POST with an Idempotency-Key', { body: 'text', headers: keyed }],
  ['POST that is said to be idempotent', { json: 1, idempotent: true }],
];

const others: readonly (readonly [string, HttpRequestInit])[] = [
  ['POST', { body: 'text' }],
  ['PATCH', { method: 'PATCH', body: 'text' }],
  ['GET that is said not to be idempotent', { idempotent: false }],
  ['PUT with a stream', { method: 'PUT', body: stream() }],
];

describe('a request on a socket that turns out to be closed', () => {
  it.each(requests)('is sent once more: %s', async (_, init) => {
    const isHead = init.method === 'HEAD';
    const { pool, seen, events } = await stale((socket) => void socket.write(isHead ? answer.slice(0, -2) : answer));
    expect((await pool.request('/again', init)).status).toBe(200);
    expect(seen.slice(0, 3)).toEqual([0, 0, 1]);
    expect(pool.stats()).toMatchObject({ redialled: 1, sent: 3, reused: 1, dialled: 2, ok: 2, errors: { reset: 0 } });
    expect(events).toEqual([{ type: 'http.redialled', service: 'gpt' }]);
  });

  it.each(others)('is told to the caller, who alone knows what may be done: %s', async (_, init) => {
    const { pool, seen } = await stale();
    const error = await failureOf(pool.request('/again', init));
    const isStream = init.method === 'PUT';
    expect(error).toMatchObject({
      code: 'WP_HTTP_FAILED',
      message: expect.stringMatching(/^The service 'gpt' broke off before it answered \(/),
      details: { service: 'gpt', phase: 'sent', kind: 'reset', reused: true, retryable: isStream },
    });
    expect(failureClass(error)).toBe(isStream ? 'transient' : 'permanent');
    expect(wasNotSent(error)).toBe(false);
    expect(seen).not.toContain(1);
    expect(pool.stats()).toMatchObject({ redialled: 0, errors: { reset: 1 } });
  });

  it('is not sent a third time', async () => {
    const { pool, seen } = await stale((socket) => socket.resetAndDestroy());
    const details = { phase: 'sent', reused: false, retryable: true };
    expect(await failureOf(pool.request('/again'))).toMatchObject({ code: 'WP_HTTP_FAILED', details });
    expect(seen).toEqual([0, 0, 1]);
  });

  it('is not sent a third time on another socket that is as stale', async () => {
    const requests: Socket[] = [];
    const url = await serveBytes((socket, piece, connection) => {
      if (piece > 0 && requests.push(socket) === 3) socket.resetAndDestroy();
      else if (piece === 0 && connection > 1) socket.write(answer);
      else if (piece === 0) setImmediate(() => socket.write(answer));
    });
    const pool = poolOf({ baseUrl: url, connections: 2 });
    await Promise.all([pool.request('/'), pool.request('/')]);
    await freed();
    const first = pool.request('/first');
    await until(() => requests.length === 1);
    const failure = failureOf(pool.request('/again'));
    await until(() => requests.length === 2);
    requests[0]?.write(answer);
    await first;
    await freed();
    requests[1]?.resetAndDestroy();
    expect(await failure).toMatchObject({ details: { phase: 'sent', reused: true } });
    expect(pool.stats()).toMatchObject({ dialled: 2, sent: 5, redialled: 1, errors: { reset: 1 } });
  });

  it('is not sent again when a part of its answer has come', async () => {
    const url = await serveBytes((socket, piece) => {
      if (piece === 0) socket.write(answer);
      else socket.end(answer.slice(0, 20));
    });
    const pool = poolOf({ baseUrl: url });
    await pool.request('/');
    await freed();
    expect(await failureOf(pool.request('/'))).toMatchObject({ details: { phase: 'responding', reused: true } });
    expect(pool.stats()).toMatchObject({ sent: 2, redialled: 0 });
  });

  it('is not sent again on a fresh socket: that is the retry policy', async () => {
    const url = await serveBytes((socket) => socket.resetAndDestroy());
    const pool = poolOf({ baseUrl: url });
    expect(await failureOf(pool.request('/'))).toMatchObject({ details: { phase: 'sent', reused: false } });
    expect(pool.stats()).toMatchObject({ sent: 1, redialled: 0 });
  });

  it('can be left while it is dialled anew', async () => {
    const { pool } = await stale(() => {});
    const caller = new AbortController();
    const failure = failureOf(pool.request('/again', { signal: caller.signal }));
    await until(() => pool.stats().redialled === 1);
    const left = new Error('left');
    caller.abort(left);
    expect(await failure).toBe(left);
    await until(() => pool.stats().inFlight === 0);
    expect(pool.stats().errors).toMatchObject({ aborted: 1, reset: 0 });
  });

  it('is sent once more for a stream', async () => {
    const { pool } = await stale();
    for await (const chunk of (await pool.stream('/again')).body) expect(Buffer.from(chunk).toString()).toBe('ok');
    expect(pool.stats().redialled).toBe(1);
  });
});

describe('a fetch on a socket that turns out to be closed', () => {
  const form = (): FormData => {
    const data = new FormData();
    data.append('a', 'b');
    return data;
  };

  it.each<readonly [string, RequestInit]>([
    ['GET', {}],
    ['PUT with a text', { method: 'PUT', body: 'text' }],
    ['PUT with bytes', { method: 'PUT', body: new Uint8Array([1, 2]) }],
    ['PUT with a form', { method: 'PUT', body: form() }],
    ['POST with an Idempotency-Key', { method: 'POST', body: 'text', headers: keyed }],
  ])('is sent once more: %s', async (_, init) => {
    const { pool, events } = await stale();
    expect(await (await pool.fetch('/again', init)).text()).toBe('ok');
    expect(pool.stats()).toMatchObject({ redialled: 1, dialled: 2 });
    expect(events.filter((event) => event.type === 'http.redialled')).toHaveLength(1);
  });

  it.each<readonly [string, RequestInit]>([
    ['POST', { method: 'POST', body: 'text' }],
    ['PUT with a stream', { method: 'PUT', body: new Blob(['text']).stream(), duplex: 'half' }],
  ])('fails as the standard says, with the phase in its cause: %s', async (_, init) => {
    const { pool, seen } = await stale();
    const error = await failureOf(pool.fetch('/again', init));
    expect(error).toBeInstanceOf(TypeError);
    expect(error).toMatchObject({
      message: 'fetch failed',
      cause: { code: 'WP_HTTP_FAILED', details: { phase: 'sent' } },
    });
    expect(seen).not.toContain(1);
  });
});

describe('a fetch that was redirected', () => {
  it('does not begin anew when the socket of what it was redirected to is closed', async () => {
    const elsewhere = 'HTTP/1.1 307 x\r\nlocation: /next\r\ncontent-length: 0\r\n\r\n';
    const seen: string[] = [];
    const url = await serveBytes((socket, piece, connection) => {
      seen.push(`${connection}.${piece}`);
      if (piece === 2) socket.resetAndDestroy();
      else socket.write(piece === 0 ? answer : elsewhere);
    });
    const pool = poolOf({ baseUrl: url, connections: 1 });
    await pool.request('/');
    await freed();
    const form = new URLSearchParams({ a: 'b' }); // which comes with its head
    await failureOf(pool.fetch('/', { method: 'POST', body: form, headers: keyed }));
    expect(seen.filter((each) => each.startsWith('1'))).toEqual([]);
    expect(pool.stats()).toMatchObject({ sent: 3, redialled: 0 });
  });
});

describe('a service that cannot be reached', () => {
  const details = { service: 'gpt', method: 'POST', phase: 'not-sent', retryable: true };

  it('is told as not sent, when its port refuses and when its name is unknown', async () => {
    const pool = poolOf({ name: 'gpt' });
    const refused = await failureOf(pool.request('http://127.0.0.1:2', { method: 'POST' }));
    expect(refused).toMatchObject({ code: 'WP_HTTP_FAILED', details: { ...details, kind: 'refused' } });
    expect(refused.message).toBe("The service 'gpt' could not be reached (ECONNREFUSED).");
    const notFound = Object.assign(new Error('getaddrinfo ENOTFOUND nowhere.invalid'), { code: 'ENOTFOUND' });
    const lookup = vi.spyOn(dns, 'lookup').mockImplementation(((...args: unknown[]) => {
      (args.at(-1) as (error: Error) => void)(notFound);
    }) as never);
    onTestFinished(() => lookup.mockRestore());
    const unknown = await failureOf(pool.request('http://nowhere.invalid', { method: 'POST' }));
    expect(unknown).toMatchObject({ code: 'WP_HTTP_FAILED', details: { ...details, kind: 'dns' } });
    for (const error of [refused, unknown])
      expect([wasNotSent(error), failureClass(error)]).toEqual([true, 'transient']);
    expect(await failureOf(pool.fetch('http://127.0.0.1:2'))).toMatchObject({
      message: 'fetch failed',
      cause: { code: 'WP_HTTP_FAILED', details: { phase: 'not-sent' }, cause: { code: 'ECONNREFUSED' } },
    });
    expect(pool.stats()).toMatchObject({ sent: 0, dialled: 0, errors: { refused: 2, dns: 1 } });
  });
});
